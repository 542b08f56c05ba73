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
from workers.supervisor.ready_socket import ReadySocket

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
    # Open files that it inherits under the same numbers.
    descriptors: tuple[int, ...] = ()
    says_ready: bool = False


def decide_backoff(failures: int, *, longest_seconds: float = LONGEST_BACKOFF_SECONDS) -> float:
    """Seconds to wait before the restart after this many failures in a row: 0, then 1 doubling to the longest."""
    if failures <= 1:
        return 0.0
    return float(min(longest_seconds, FIRST_BACKOFF_SECONDS * 2 ** min(failures - 2, 10)))


class Child:
    """A running, ended or waiting child; each process leads its own session and process group."""

    def __init__(
        self, spec: ChildSpec, *, guard: Guard, log: LogStream, longest_backoff_seconds: float = LONGEST_BACKOFF_SECONDS
    ) -> None:
        self.spec = spec
        self._longest_backoff_seconds = longest_backoff_seconds
        self.restart_at: float | None = None
        self.exit_status: int | None = None
        # The newest that says something: a process that refuses to start ends with its sentence.
        self.last_line = ""
        self._guard = guard
        self._log = log
        self._failures = 0
        self._started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._follower: threading.Thread | None = None
        self._ready_socket: ReadySocket | None = None
        self._is_ready = False

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it can do its work; always False of one that never says so."""
        if not self._is_ready and self._process is not None and self._ready_socket is not None:
            self._is_ready = self._ready_socket.hears(self._process.pid)
        return self._is_ready

    def start(self) -> None:
        self.spec.before_start()
        self._process = subprocess.Popen(
            self.spec.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._variables(),
            cwd=self.spec.folder,
            start_new_session=True,
            pass_fds=self.spec.descriptors,
        )
        self._guard.add(self._process.pid, first_signal=self.spec.kill_signal)
        self.restart_at, self.exit_status, self._started_at = None, None, time.monotonic()
        self.last_line = ""
        if self._process.stdout:
            self._follower = self._log.follow(self.spec.name, self._process.stdout, self._note)

    def reap(self) -> bool:
        """Whether it has ended since the last look; if so, the rest of its group is ended too."""
        if self._process is None or not _has_ended(self._process.pid):
            return False
        # Before the leader is reaped: until then nobody else can get its number.
        _signal_group(self._process.pid, signal.SIGKILL)
        self.exit_status = self._process.wait()
        self._guard.remove(self._process.pid)
        self._process = None
        self._close_ready_socket()
        return True

    def plan_restart(self) -> float:
        """Choose when to start again after a failure. Returns the seconds until then."""
        was_steady = time.monotonic() - self._started_at >= STEADY_AFTER_SECONDS
        self._failures = 1 if was_steady else self._failures + 1
        delay = decide_backoff(self._failures, longest_seconds=self._longest_backoff_seconds)
        self.restart_at = time.monotonic() + delay
        return delay

    def send(self, number: int) -> None:
        """Signal the child itself, which passes it on as it sees fit."""
        if self._process is not None and not _has_ended(self._process.pid):
            self._process.send_signal(number)

    def send_group(self, number: int) -> None:
        if self._process is not None:
            _signal_group(self._process.pid, number)

    def _note(self, line: bytes) -> None:
        if text := line.decode(errors="replace").strip():
            self.last_line = text

    def drain_log(self, seconds: float) -> None:
        """Wait for its last lines to be written."""
        if self._follower is not None:
            self._follower.join(seconds)

    def _variables(self) -> dict[str, str]:
        self._close_ready_socket()
        if not self.spec.says_ready:
            return dict(self.spec.environment)
        self._ready_socket = ReadySocket()
        return {**self.spec.environment, "NOTIFY_SOCKET": self._ready_socket.address}

    def _close_ready_socket(self) -> None:
        if self._ready_socket is not None:
            self._ready_socket.close()
            self._ready_socket = None
        self._is_ready = False


def _has_ended(pid: int) -> bool:
    """Look without reaping, so that the number stays taken."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
