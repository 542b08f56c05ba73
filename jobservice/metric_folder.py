"""The folder in which the processes of one machine keep their metrics, so that any of them can show those of all.

Each process has a seat: a number whose lock file it holds for as long as it lives, and whose value files it writes. The
next process on a seat goes on where the last one ended, so counters never fall and files do not pile up, however many
processes come and go. What a dead process last said of the present (a gauge) is not read.
"""

from __future__ import annotations

import fcntl
import os
from itertools import count
from pathlib import Path

SEAT_PREFIX = "seat-"
# Written out in full: writing to a hole of a mapped file on a full disk would kill the process. Larger than all
# values of one process, which are bounded because their labels are.
FILE_BYTES = {"counter": 512 * 1024, "histogram": 512 * 1024, "gauge_mostrecent": 32 * 1024}


class MetricFolder:
    """The folder as one process sees it. `seat` names the process in the names of its value files."""

    def __init__(self, path: Path) -> None:
        """Makes the folder. Raises `OSError` when this user cannot use it."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._seat: int | None = None
        self._descriptor = -1
        os.register_at_fork(after_in_child=self._stand_up)

    def seat(self) -> int:
        """This process's number; taken at the first call, and anew after a fork. Raises `OSError`."""
        if self._seat is None:
            self._seat = self._sit_down()
        return self._seat

    def readable_files(self) -> list[str]:
        """The value files that count now: all counters and histograms, and the gauges of live processes."""
        counted = [path for kind in ("counter", "histogram") for path in self.path.glob(f"{kind}_*.db")]
        live = [path for path in self.path.glob("gauge_*.db") if self._is_taken(_seat_of(path))]
        return sorted(str(path) for path in (*counted, *live))

    def wipe(self) -> None:
        """Remove what no live process uses."""
        for lock in self.path.glob(f"{SEAT_PREFIX}*"):
            seat = int(lock.name.removeprefix(SEAT_PREFIX))
            if not self._is_taken(seat):
                for path in (*self.path.glob(f"*_{seat}.db"), lock):
                    path.unlink(missing_ok=True)

    def _sit_down(self) -> int:
        for seat in count():
            descriptor = os.open(self._lock_path(seat), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self._descriptor = descriptor
            self._prepare_files(seat)
            return seat
        raise AssertionError("unreachable")

    def _prepare_files(self, seat: int) -> None:
        for path in self.path.glob(f"gauge_*_{seat}.db"):
            path.unlink()
        for kind, size in FILE_BYTES.items():
            path = self.path / f"{kind}_{seat}.db"
            if not path.exists():
                _write_zeros(path, size)

    def _is_taken(self, seat: int) -> bool:
        """Whether a live process holds the seat, this one included: each open file has a lock of its own."""
        try:
            descriptor = os.open(self._lock_path(seat), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two who look do not take each other for holders. Who sits down just now takes the next.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _stand_up(self) -> None:
        """In a new child: the seat is its parent's, who keeps the lock through its own descriptor."""
        if self._seat is not None:
            os.close(self._descriptor)
        self._seat = None

    def _lock_path(self, seat: int) -> Path:
        return self.path / f"{SEAT_PREFIX}{seat}"


def _seat_of(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _write_zeros(path: Path, size: int) -> None:
    """Make the file appear whole: a reader must not meet an empty one."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
    new.rename(path)
