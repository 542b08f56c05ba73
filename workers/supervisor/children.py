"""One child process: how it is started, watched, restarted and ended. Which children there are is `plan.py`'s."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.supervisor.guard import Guard
from workers.supervisor.logs import LogStream

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0
STEADY_AFTER_SECONDS = 60.0


def _do_nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `command` comes from `wrap_command`; lower `stop_order` stops earlier, equal ones together."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stop_order: int
    folder: Path = Path("/")
    stop_signal: int = signal.SIGTERM
    # Ends it at once; PostgreSQL needs a softer one, because its backends are outside its process group.
    kill_signal: int = signal.SIGKILL
    grace_seconds: float = 10.0
    before_start: Callable[[], None] = _do_nothing


def decide_backoff(failures: int) -> float:
    """Seconds to wait before the restart after this many failures in a row: 0, then 1 doubling to 30."""
    if failures <= 1:
        return 0.0
    return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures - 2, 10)))


class Child:
    """A running, ended or waiting child; each process leads its own session and process group."""

    def __init__(self, spec: ChildSpec, *, guard: Guard, log: LogStream) -> None:
        self.spec = spec
        self.restart_at: float | None = None
        self.exit_status: int | None = None
        self._guard = guard
        self._log = log
        self._failures = 0
        self._started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._follower: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        self.spec.before_start()
        self._process = subprocess.Popen(
            self.spec.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self.spec.environment),
            cwd=self.spec.folder,
            start_new_session=True,
        )
        self._guard.add(self._process.pid, first_signal=self.spec.kill_signal)
        self.restart_at, self.exit_status, self._started_at = None, None, time.monotonic()
        self._follower = self._log.follow(self.spec.name, self._process.stdout) if self._process.stdout else None

    def reap(self) -> bool:
        """Whether it has ended since the last look; if so, the rest of its group is ended too."""
        if self._process is None or not _has_ended(self._process.pid):
            return False
        # Before the leader is reaped: until then nobody else can get its number.
        _signal_group(self._process.pid, signal.SIGKILL)
        self.exit_status = self._process.wait()
        self._guard.remove(self._process.pid)
        self._process = None
        return True

    def plan_restart(self) -> float:
        """Choose when to start again after a failure. Returns the seconds until then."""
        was_steady = time.monotonic() - self._started_at >= STEADY_AFTER_SECONDS
        self._failures = 1 if was_steady else self._failures + 1
        delay = decide_backoff(self._failures)
        self.restart_at = time.monotonic() + delay
        return delay

    def send(self, number: int) -> None:
        """Signal the child itself, which passes it on as it sees fit."""
        if self._process is not None and not _has_ended(self._process.pid):
            self._process.send_signal(number)

    def send_group(self, number: int) -> None:
        if self._process is not None:
            _signal_group(self._process.pid, number)

    def drain_log(self, seconds: float) -> None:
        """Wait for its last lines to be written."""
        if self._follower is not None:
            self._follower.join(seconds)


def _has_ended(pid: int) -> bool:
    """Look without reaping, so that the number stays taken."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
