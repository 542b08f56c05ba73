"""Puts back what a handler may have changed in its process, so that the next job begins where this one did."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from jobservice.logs import log_event

_SIGNALS = tuple(
    number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP) and number < 32
)

# Those that a program lowers for itself; each is asked for after every job.
_LIMITS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
)


@dataclass(frozen=True, slots=True)
class ChildState:
    """The working folder, environment, umask, import path, socket timeout, resource limits, signal handlers and blocked
    signals of this process."""

    folder: str
    environment: dict[str, str]
    umask: int
    import_path: tuple[str, ...]
    socket_timeout: float | None
    signal_handlers: dict[int, Any]
    blocked_signals: frozenset[int]
    limits: dict[int, tuple[int, int]]

    @classmethod
    def take(cls) -> ChildState:
        """Remember this process as it is. Main thread only."""
        return cls(
            folder=os.getcwd(),  # noqa: PTH109 (goes back into chdir as it is)
            environment=dict(os.environ),
            umask=_umask(),
            import_path=tuple(sys.path),
            socket_timeout=socket.getdefaulttimeout(),
            signal_handlers={number: signal.getsignal(number) for number in _SIGNALS},
            blocked_signals=_blocked_signals(),
            limits={name: resource.getrlimit(name) for name in _LIMITS},
        )

    def restore(self) -> None:
        """Put back what differs. Main thread only. What cannot be put back is logged, and hurts no job."""
        try:
            self._restore()
        except (OSError, ValueError) as error:
            log_event("child_state_lost", level="warning", error_class=type(error).__name__)

    def _restore(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.signal_handlers.items():
            # None: not installed by Python, so it cannot be put back by it either.
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
        if _blocked_signals() != self.blocked_signals:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked_signals)
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        if tuple(sys.path) != self.import_path:
            sys.path[:] = self.import_path
        socket.setdefaulttimeout(self.socket_timeout)
        os.umask(self.umask)
        os.chdir(self.folder)
        # Last: a hard limit that was lowered cannot be raised again.
        for name, limit in self.limits.items():
            if resource.getrlimit(name) != limit:
                resource.setrlimit(name, limit)


def _blocked_signals() -> frozenset[int]:
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _umask() -> int:
    """The umask can only be read by setting it."""
    current = os.umask(0o077)
    os.umask(current)
    return current
