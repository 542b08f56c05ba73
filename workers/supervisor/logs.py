"""Joins the output of all children into one stream of prefixed lines."""

from __future__ import annotations

import io
import select
import threading
from collections.abc import Callable
from typing import IO

LONGEST_LINE_BYTES = 64 * 1024
# How long a reader is waited for that takes nothing: a terminal that was stopped, or a pager.
PATIENCE_SECONDS = 1.0
# What a pipe with any room takes whole.
PIECE_BYTES = select.PIPE_BUF


def _ignore(_line: bytes) -> None:
    return None


class LogStream:
    """Writes whole lines as `name | line`, from any thread.

    A closed reader silences it, and one that stands still costs lines, which are counted: the service goes on.
    """

    def __init__(self, stream: IO[bytes], *, width: int = 10) -> None:
        self._stream = stream
        self._width = width
        self._lock = threading.Lock()
        self._is_closed = False
        self._lost = 0

    def write(self, name: str, text: str) -> None:
        for line in text.splitlines():
            self._write_line(name, line.encode(errors="replace"))

    def write_plain(self, text: str) -> None:
        """Write text as it is, in one piece: the banner, whose lines are there to be copied."""
        self._write_bytes(text.encode())

    def follow(self, name: str, pipe: IO[bytes], note: Callable[[bytes], None] = _ignore) -> threading.Thread:
        """Copy a child's output until it ends and give `note` each line; the thread returned ends with it."""
        thread = threading.Thread(target=self._copy, args=(name, pipe, note), name=f"log of {name}", daemon=True)
        thread.start()
        return thread

    def _copy(self, name: str, pipe: IO[bytes], note: Callable[[bytes], None]) -> None:
        with pipe:
            while line := pipe.readline(LONGEST_LINE_BYTES):
                text = line.rstrip(b"\r\n")
                note(text)
                self._write_line(name, text)

    def _write_line(self, name: str, line: bytes) -> None:
        self._write_bytes(b"%s | %s\n" % (name.ljust(self._width).encode(), line))

    def _write_bytes(self, content: bytes) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                if not self._put(content):
                    self._lost += 1
            except (OSError, ValueError):
                self._is_closed = True

    def _put(self, content: bytes) -> bool:
        """Whether all of it was written."""
        if self._lost and self._has_room():
            content = b"\n%d lines are missing here: nobody read them\n%s" % (self._lost, content)
            self._lost = 0
        for start in range(0, len(content), PIECE_BYTES):
            if not self._has_room():
                return False
            self._stream.write(content[start : start + PIECE_BYTES])
            self._stream.flush()
        return True

    def _has_room(self) -> bool:
        """Whether a write would not wait. A reader that stood still is not waited for again, or its children would."""
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:
            return True
        _, writable, _ = select.select([], [descriptor], [], 0.0 if self._lost else PATIENCE_SECONDS)
        return bool(writable)
