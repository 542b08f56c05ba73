"""A flag for signal handlers. An event of `threading` is none: its lock would be taken twice by one thread when the
signal comes while that thread is inside `wait`, and the process would never stop.
"""

from __future__ import annotations

import os
import select


class StopFlag:
    """`set` is safe in a signal handler; any number of threads may wait."""

    def __init__(self) -> None:
        self._is_set = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def set(self) -> None:
        """Once set, for good."""
        if not self._is_set:
            self._is_set = True
            # Nobody reads it: the pipe stays readable, and wakes everyone who waits now or later.
            os.write(self._writer, b"\0")

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """Return when it is set, at the latest after so many seconds; whether it is."""
        if not self._is_set:
            select.select([self._reader], [], [], seconds)
        return self._is_set
