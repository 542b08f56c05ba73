"""A client's socket whose patience ends: reading and writing give up when their time is over.

gunicorn's threaded worker reads without a limit, so that a client who sends a byte now and then would keep a thread for
ever. The time is that of the whole head or body, not of one read, which a slow drip would always meet.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

WRITE_SECONDS = 30.0


class PatientSocket(socket.socket):
    """`allow` starts the time for what is read next; without it, reads wait as any socket's do."""

    _deadline: float | None = None
    _error: Callable[[], Exception] = TimeoutError

    @classmethod
    def take(cls, sock: socket.socket) -> PatientSocket:
        """The same connection; the socket given is of no use any more."""
        return cls(sock.family, sock.type, sock.proto, fileno=sock.detach())

    def allow(self, seconds: float | None, *, error: Callable[[], Exception] = TimeoutError) -> None:
        """What is read from now on must come within this time, else `error` is raised; None: no limit."""
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._error = error

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if self._deadline is None:
            return super().recv(bufsize, flags)
        outer, left = self.gettimeout(), self._deadline - time.monotonic()
        if left <= 0:
            raise self._error()
        self.settimeout(left if outer is None else min(left, outer))
        try:
            return super().recv(bufsize, flags)
        except TimeoutError:
            raise self._error() from None
        finally:
            self.settimeout(outer)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        outer = self.gettimeout()
        if outer is None:
            self.settimeout(WRITE_SECONDS)
        try:
            super().sendall(data, flags)
        except TimeoutError:
            # As if the client had gone away: to the server it has.
            raise ConnectionResetError("the client does not read") from None
        finally:
            self.settimeout(outer)
