"""What checking one payload against its schema may still cost.

The meter has two accounts and refuses when both are overdrawn: the processor time that was really used, in the measure
of this machine at its best, and what the guards' price list says that it takes at least on an idle one. So a payload
that the price list lets pass is never refused because of what else the machine does. What has no price, as a pattern,
goes by the clock alone.
"""

from __future__ import annotations

import math
import time

from jobservice.jobs.machine_speed import slowness

# Guards passed between two looks at the clock, which costs as much as several guards.
STEPS_PER_LOOK = 32


class TooComplex(Exception):
    """The check took longer than its meter allows."""


class Meter:
    """What checking one payload may still cost: processor time of the thread that made it, and by the price list."""

    __slots__ = ("_began", "_most", "_slowness", "is_spent", "payload_bytes", "priced", "steps")

    def __init__(self, *, seconds: float, payload_bytes: int = 0) -> None:
        self._began = time.thread_time()
        self._most = seconds
        self._slowness = 0.0  # not measured yet
        self.payload_bytes = payload_bytes
        self.priced = 0.0
        self.steps = 0.0
        self.is_spent = False

    @property
    def used_seconds(self) -> float:
        """What the check has cost, by the account that is kinder to it."""
        return min(self.priced, self._used_by_clock())

    def go_by_clock(self) -> None:
        """What comes now has no price."""
        self.priced = math.inf

    def look(self) -> None:
        """Look at the accounts. Raises `TooComplex` when there is no time left, or was none before."""
        self.steps = 0
        self.reserve(0)

    def reserve(self, seconds: float) -> None:
        """Raise `TooComplex` unless there is still this much time in one of the accounts."""
        if self.is_spent or (self.priced + seconds > self._most and self._is_late(seconds)):
            self.is_spent = True
            # So that every later guard looks, and refuses.
            self.steps = STEPS_PER_LOOK
            raise TooComplex

    def _is_late(self, seconds: float) -> bool:
        if self._used_by_clock() + seconds <= self._most:
            return False
        if not self._slowness and seconds <= self._most:
            # Once, and only when it matters.
            self._slowness = slowness()
            return self._used_by_clock() + seconds > self._most
        return True

    def _used_by_clock(self) -> float:
        return (time.thread_time() - self._began) / (self._slowness or 1.0)
