"""Starts the real supervisor over stand-in programs, in a process of its own, and reads what it prints."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from workers.supervisor.connections import VARIABLES
from workers.supervisor.launch import Account, wrap_command

SITE = Path(__file__).parent / "site"
ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60.0


def clean_environment(**variables: str) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in VARIABLES.values() and not name.startswith(("JOBSERVICE_", "COV", "PYTEST"))
    }
    return {**inherited, "PYTHONPATH": str(ROOT), **variables}


class RunningUp:
    """One `up`; leaving the block kills it and so, by its guard, everything it started."""

    def __init__(self, data_dir: Path, *behaviours: str, account: Account | None = None, **variables: str) -> None:
        self.data_dir = data_dir
        self.port = int(variables.setdefault("PORT", str(free_port())))
        self.lines: list[str] = []
        self._is_over = False
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            wrap_command(
                [sys.executable, str(SITE / "up.py"), *behaviours], death_signal=signal.SIGKILL, account=account
            ),
            env=clean_environment(JOBSERVICE_DATA_DIR=str(data_dir), **{"JOBSERVICE_DEMO": "off", **variables}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> RunningUp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_SECONDS)

    def await_line(self, pattern: str, *, since: int = 0) -> re.Match[str]:
        """The first line from number `since` on that matches; fails with everything printed so far."""
        return self.await_lines(pattern, 1, since=since)[0]

    def await_lines(self, pattern: str, count: int, *, since: int = 0) -> list[re.Match[str]]:
        """The same for the first so many lines."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            while True:
                found = [match for line in self.lines[since:] if (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found[:count]
                if self._is_over or not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {count} lines {pattern!r} in:\n" + "\n".join(self.lines))

    def await_ready(self) -> RunningUp:
        self.await_line("jobservice is ready at")
        self.await_line("Stop  ")
        for name in ("dispatcher", "egress"):
            self.await_line(f"{name} pids")
        return self

    def restart(self) -> int:
        """Ask for a rolling restart; the number of lines printed before."""
        seen = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        return seen

    def pids_of(self, name: str) -> list[int]:
        """The stand-in and its own child, as the newest line of that program says."""
        found = [line for line in self.lines if f"| {name} pids " in line]
        return [int(pid) for pid in found[-1].split(" pids ")[1].split()[:2]]

    def finish(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end and for its last line. Returns the exit status."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


def processes_with(text: str) -> list[int]:
    """Every process whose arguments or title hold the text."""
    return [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and text.encode() in _command_line(folder)
    ]


def await_process_with(text: str, *, seconds: float = PATIENCE_SECONDS) -> int:
    """The one process whose arguments hold the text. Just after its start a process shows no arguments for a moment."""
    deadline = time.monotonic() + seconds
    while not (found := processes_with(text)) and time.monotonic() < deadline:
        time.sleep(0.01)
    [pid] = found
    return pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def await_end(pids: list[int], *, seconds: float = PATIENCE_SECONDS) -> list[int]:
    """The processes that still run after at most so many seconds; waits for the kernel's word, not a fixed time."""
    deadline = time.monotonic() + seconds
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        os.close(descriptor)
    return [pid for pid in pids if is_running(pid)]


def _command_line(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""
