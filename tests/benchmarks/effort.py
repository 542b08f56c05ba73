"""How much is measured: counts of a full run, and of a smoke run that only shows that the measurement still works."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

FULL_SECONDS = 330.0
# What the warm-up of a full run takes at most on two cores with nothing else to do.
USUAL_WARM_UP_SECONDS = 5.0
_LEAST_SCALE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Counts of one round.

    `judges` is False when so little is done that speed means nothing; `scale` is what part of the usual counts it is.
    """

    rounds: int = 3
    warm_up: int = 400
    accepts: int = 1_500
    bulk_jobs: int = 5_000
    backlog: int = 10_000
    http_jobs: int = 2_000
    light_seconds: float = 3.0
    idle_seconds: float = 5.0
    callbacks: int = 2_000
    whole: int = 1_500
    raw_messages: int = 4_000
    flood_jobs: int = 100_000
    share_jobs: int = 4_000
    quiet_seconds: float = 10.0
    hostiles: int = 500
    claims: int = 400
    claim_jobs: int = 1_000_000
    read_jobs: int = 1_000_000
    claim_tenants: tuple[int, ...] = (50, 1_000, 10_000)
    judges: bool = True
    scale: float = 1.0
    ends_at: float = field(default_factory=lambda: time.monotonic() + FULL_SECONDS)

    def fit(self, warm_up_seconds: float) -> Effort:
        """Less of everything on a machine that is slow now, so that there is time for more than one round."""
        scale = max(_LEAST_SCALE, min(1.0, USUAL_WARM_UP_SECONDS / warm_up_seconds))
        # A bulk request is never a part of one.
        return replace(
            self,
            scale=scale,
            accepts=round(self.accepts * scale),
            bulk_jobs=max(200, round(self.bulk_jobs * scale / 100) * 100),
            backlog=round(self.backlog * scale),
            http_jobs=round(self.http_jobs * scale),
            callbacks=round(self.callbacks * scale),
            whole=round(self.whole * scale),
            raw_messages=round(self.raw_messages * scale),
            flood_jobs=max(200, round(self.flood_jobs * scale / 100) * 100),
            share_jobs=max(200, round(self.share_jobs * scale / 100) * 100),
        )

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
    idle_seconds=0.5,
    callbacks=40,
    whole=40,
    raw_messages=200,
    flood_jobs=400,
    share_jobs=200,
    quiet_seconds=0.5,
    hostiles=50,
    claims=5,
    claim_jobs=20_000,
    read_jobs=5_000,
    claim_tenants=(50,),
    judges=False,
)
