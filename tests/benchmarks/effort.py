"""How much is measured: counts of a full run, and of a smoke run that only shows that the measurement still works."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

FULL_SECONDS = 330.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Counts of one round. `judges` is False when so little was done that speed means nothing."""

    rounds: int = 3
    warm_up: int = 400
    accepts: int = 1_500
    bulk_jobs: int = 5_000
    backlog: int = 10_000
    http_jobs: int = 2_000
    light_seconds: float = 3.0
    callbacks: int = 2_000
    whole: int = 1_500
    raw_messages: int = 4_000
    judges: bool = True
    ends_at: float = field(default_factory=lambda: time.monotonic() + FULL_SECONDS)

    def share(self, measurements_left: int) -> float:
        """Until when a measurement may begin rounds: a slow machine gets fewer of them, not a longer run."""
        now = time.monotonic()
        return now + max(self.ends_at - now, 0.0) / measurements_left


SMOKE = Effort(
    rounds=1,
    warm_up=20,
    accepts=40,
    bulk_jobs=200,
    backlog=200,
    http_jobs=40,
    light_seconds=0.4,
    callbacks=40,
    whole=40,
    raw_messages=200,
    judges=False,
)
