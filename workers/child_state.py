"""Puts back what a handler may have changed in its process, so that the next job begins where this one did."""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from jobservice.logs import log_event

_SIGNALS = tuple(
    number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP) and number < 32
)


@dataclass(frozen=True, slots=True)
class ChildState:
    """The working folder, environment, umask, import path, socket timeout and signal handlers of this process."""

    folder: str
    environment: dict[str, str]
    umask: int
    import_path: tuple[str, ...]
    socket_timeout: float | None
    signal_handlers: dict[int, Any]

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
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        if tuple(sys.path) != self.import_path:
            sys.path[:] = self.import_path
        socket.setdefaulttimeout(self.socket_timeout)
        os.umask(self.umask)
        os.chdir(self.folder)


def _umask() -> int:
    """The umask can only be read by setting it."""
    current = os.umask(0o077)
    os.umask(current)
    return current
