"""When a delivery that failed is tried again: Standard Webhooks' schedule, then once a day. Pure."""

from __future__ import annotations

import random

_MINUTE, _HOUR = 60.0, 3600.0
_SCHEDULE = (5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 10 * _HOUR)
_DAY = 24 * _HOUR
# Two more days after the schedule's 27.6 hours: the last try is about three days after the first.
_DAILY_TRIES = 2
_JITTER = 0.1


def next_delivery_delay(attempt: int, draw: float | None = None) -> float | None:
    """Seconds to wait after the n-th failed try (n ≥ 1); None when it was the last one.

    `draw` in 0…1 moves the delay by ± 10 %, 0.5 not at all; random unless given.
    """
    if attempt > len(_SCHEDULE) + _DAILY_TRIES:
        return None
    base = _SCHEDULE[attempt - 1] if attempt <= len(_SCHEDULE) else _DAY
    moved = random.random() if draw is None else draw  # noqa: S311 (spreads load, hides nothing)  # nosec B311
    return base * (1 + _JITTER * (2 * moved - 1))
