"""Seconds in which the machine moved: what a bound of a few seconds is held against.

A machine that stands still for a while, as a rented one may, breaks such a bound though the code is right.
"""

from __future__ import annotations

import time

# Who looks each 50 ms is this late only when the machine stood still, and not when it is merely busy.
MOST_SECONDS = 0.25


class MovingClock:
    """Goes on while somebody looks at it again and again: from one look to the next by `most_seconds` at most."""

    def __init__(self, *, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._looked_at = time.monotonic()
        self.seconds = 0.0
        # How much of the time is not counted.
        self.stood_still = 0.0

    def look(self) -> float:
        """The seconds until now."""
        now = time.monotonic()
        passed = now - self._looked_at
        counted = min(passed, self._most_seconds)
        self._looked_at = now
        self.seconds += counted
        self.stood_still += passed - counted
        return self.seconds
