"""Real child processes for tests of what parent and child share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ForkedChild:
    """A child running `body`; each side can wait for a byte of the other's."""

    def __init__(self, body: Callable[[ForkedChild], None]) -> None:
        self._to_child, self._to_parent = os.pipe(), os.pipe()
        self.is_reaped = False
        self.pid = os.fork()
        if self.pid == 0:
            self._live(body)

    def tell(self, word: bytes = b".") -> None:
        os.write((self._to_child if self.pid else self._to_parent)[1], word)

    def hear(self) -> bytes:
        return os.read((self._to_parent if self.pid else self._to_child)[0], 1)

    def await_end(self) -> None:
        """Wait until it ended, and leave it to be reaped."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def reap(self) -> None:
        if not self.is_reaped:
            self.is_reaped = True
            os.waitpid(self.pid, 0)

    def end(self) -> None:
        if not self.is_reaped:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()
        for descriptor in (*self._to_child, *self._to_parent):
            os.close(descriptor)

    def _live(self, body: Callable[[ForkedChild], None]) -> None:
        try:
            body(self)
        finally:
            os._exit(0)


@contextmanager
def forked(body: Callable[[ForkedChild], None]) -> Iterator[ForkedChild]:
    """A child for the length of the block; killed at its end if it still lives."""
    child = ForkedChild(body)
    try:
        yield child
    finally:
        child.end()
