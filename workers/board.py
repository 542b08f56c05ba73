"""The board: shared memory in which each pool process shows what it runs, and its parent shows which runs must end.

Allocated before the pool forks. A process writes its own seat, its parent writes only flags; how they lie in the memory
is in `board_layout.py`.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from uuid import UUID

from jobservice.crypto.message_mac import Ref
from workers.board_layout import (
    MAX_TIMED_HANDLERS,
    Flag,
    Header,
    JobState,
    Phase,
    Region,
    Snapshot,
    checksum,
    flags_for,
    pack_flags,
    pack_jobs,
    read_region,
)

_READ_TRIES = 50
_SMOOTHING = 0.2


class Board:
    """The parent's view: read any seat, raise flags, clear the seat of a dead process."""

    def __init__(self, *, seats: int, handlers: Sequence[str]) -> None:
        """Allocate. Call before the fork; `handlers` must be in the same order in parent and children."""
        self.seats = seats
        self.handlers = tuple(handlers[:MAX_TIMED_HANDLERS])
        step = ctypes.sizeof(Region)
        self._memory = mmap.mmap(-1, ctypes.sizeof(Header) + seats * step)
        self._header = Header.from_buffer(self._memory)
        self._regions = [Region.from_buffer(self._memory, ctypes.sizeof(Header) + n * step) for n in range(seats)]

    @property
    def worker_id(self) -> UUID | None:
        """The id this worker is registered under; None until it is."""
        return UUID(bytes=bytes(self._header.worker_id)) if self._header.has_worker_id else None

    @worker_id.setter
    def worker_id(self, value: UUID) -> None:
        ctypes.memmove(self._header.worker_id, value.bytes, 16)
        self._header.has_worker_id = 1

    @property
    def is_stopping(self) -> bool:
        """Whether children must not begin anything any more."""
        return bool(self._header.is_stopping)

    def stop(self) -> None:
        self._header.is_stopping = 1

    def seat(self, index: int) -> Seat:
        """The view of the pool process with this index."""
        return Seat(self, self._regions[index])

    def read(self, index: int) -> Snapshot | None:
        """What a seat shows; None when it was being written each time we looked (or its writer died writing)."""
        region = self._regions[index]
        for _ in range(_READ_TRIES):
            sequence = region.sequence
            if sequence % 2:
                continue
            snapshot = read_region(index, region, sequence)
            if snapshot is not None and region.sequence == sequence:
                return snapshot
        return None

    def raise_flag(self, snapshot: Snapshot, place: int, flag: Flag) -> None:
        """Ask one job of this group to end. Adds to the flags it has."""
        mark = self._regions[snapshot.seat].marks[place]
        mark.flags = pack_flags(snapshot.sequence, flags_for(mark.flags, snapshot.sequence) | flag)

    def pid(self, index: int) -> int:
        """The process in a seat; 0 when there is none."""
        return int(self._regions[index].pid)

    def clear(self, index: int) -> None:
        """Empty the seat of a process that is gone, for the next one."""
        region = self._regions[index]
        region.pid, region.count, region.phase = 0, 0, Phase.IDLE
        region.checksum = checksum(region, b"")
        region.sequence += 1 + (region.sequence + 1) % 2

    @property
    def busy_seats(self) -> int:
        """How many processes have a group, roughly: nobody waits for one that is being written."""
        return sum(region.phase != Phase.IDLE for region in self._regions)

    @property
    def mean_ms(self) -> float | None:
        """Mean run time over all processes in milliseconds; None while nothing has run."""
        return _mean([region.mean_ms for region in self._regions])

    @property
    def run_times(self) -> dict[str, float]:
        """Mean run time of each handler that has run, in milliseconds."""
        means = {
            name: _mean([region.handler_ms[place] for region in self._regions])
            for place, name in enumerate(self.handlers)
        }
        return {name: mean for name, mean in means.items() if mean is not None}


class Seat:
    """A pool process's view of its own region: only that process may use it."""

    def __init__(self, board: Board, region: Region) -> None:
        self.board = board
        self._region = region

    @property
    def sequence(self) -> int:
        """The number of the group that is on the board now."""
        return int(self._region.sequence)

    def take(self, pid: int) -> None:
        """Sit down: this process is the one to watch from now on."""
        self._publish(Phase.IDLE, [], 0)
        self._region.pid = pid

    def open_group(self, refs: Sequence[Ref], now_ns: int) -> None:
        """Show the jobs this process is about to start, so that none is orphaned if it dies while it starts them."""
        self._publish(Phase.STARTING, [(ref, 0) for ref in refs], now_ns)

    def admit(self, jobs: Sequence[tuple[Ref, int]], now_ns: int) -> None:
        """Show the jobs that started, each with its timeout in seconds; a place is an index into this list."""
        self._publish(Phase.RUNNING, jobs, now_ns)

    def close_group(self) -> None:
        self._publish(Phase.IDLE, [], 0)

    def mark_running(self, place: int, now_ns: int) -> None:
        mark = self._region.marks[place]
        mark.started_ns = now_ns
        mark.state = JobState.RUNNING

    def mark_waiting(self, place: int) -> None:
        """It was cut short without an outcome and is to be given back."""
        self._region.marks[place].state = JobState.WAITING

    def mark_done(self, place: int) -> None:
        """It ended, but nothing of that is written yet."""
        self._region.marks[place].state = JobState.DONE

    def mark_settled(self, place: int, *, sequence: int) -> None:
        """It needs no care any more. Ignored when the group on the board is another one by now."""
        if self._region.sequence == sequence:
            self._region.marks[place].state = JobState.SETTLED

    def flags(self, place: int) -> Flag:
        """Why this job must end; `NONE` when it may go on."""
        return flags_for(self._region.marks[place].flags, self._region.sequence)

    def note_run(self, handler: str, milliseconds: float) -> None:
        """Take a run time into the moving means. Never 0, which stands for "has not run"."""
        seen = max(milliseconds, 1e-3)
        self._region.mean_ms = _smooth(self._region.mean_ms, seen)
        if handler in self.board.handlers:
            place = self.board.handlers.index(handler)
            self._region.handler_ms[place] = _smooth(self._region.handler_ms[place], seen)

    def _publish(self, phase: Phase, jobs: Sequence[tuple[Ref, int]], now_ns: int) -> None:
        packed = pack_jobs(jobs)
        region = self._region
        region.sequence += 1 + region.sequence % 2  # odd, also after a predecessor that died while writing
        region.phase, region.opened_ns, region.count = phase, now_ns, len(jobs)
        ctypes.memmove(region.refs, packed, len(packed))
        for place in range(len(jobs)):
            region.marks[place].started_ns, region.marks[place].state = 0, JobState.WAITING
        region.checksum = checksum(region, packed)
        region.sequence += 1


def _smooth(mean: float, seen: float) -> float:
    return seen if mean == 0 else mean + _SMOOTHING * (seen - mean)


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if value > 0]
    return sum(known) / len(known) if known else None
