"""How much longer processor time is now than on this machine at its best.

Processor time is no fixed measure: threads that share a core, and machines that share a processor, slow one another
down, and the clock of a thread counts that as its own. A small fixed piece of work, timed now and then, tells how much.
"""

from __future__ import annotations

import time

# More than this is not believed: whoever measures by it must not be made to wait without end.
MOST_SLOWNESS = 3.0
_ROUNDS = 4_000
_FIRST_TRIES = 5


class _Speed:
    """The best time that the piece of work ever took here. A thread may lose another's improvement: it comes again."""

    def __init__(self) -> None:
        self.best_seconds = 0.0

    def slowness(self) -> float:
        if not self.best_seconds:
            self.best_seconds = min(_time_work() for _ in range(_FIRST_TRIES))
        seconds = _time_work()
        self.best_seconds = min(self.best_seconds, seconds)
        return min(MOST_SLOWNESS, seconds / self.best_seconds)


def slowness() -> float:
    """How many times longer than at its best a piece of work takes now, 1 to `MOST_SLOWNESS`. Takes about 0.2 ms."""
    return _speed.slowness()


def _time_work() -> float:
    began = time.thread_time()
    total = 0
    for number in range(_ROUNDS):
        total += number * number
    return time.thread_time() - began


_speed = _Speed()
