"""How far a claim looks. What it takes follows from the credits; what it passes over must cost little."""

from __future__ import annotations

from typing import Any

from tenants.quotas import DEFAULTS

# While no more tenants wait than one for each dozen jobs of a claim, it looks at all of them, and goes by turns of one
# job. Of more it looks at fewer, and each is given about two dozen in its turn: small turns are fairer from one moment
# to the next, but each tenant looked at costs a claim about as much as ten jobs.
JOBS_PER_SHARE = 12
LONGER_TURNS = 2
LEAST_SHARES, MOST_SHARES = 4, 50
LANES_PER_SHARE = 20
# Jobs looked at in a lane at least, because the concurrency keys of the first may be busy.
LEAST_JOBS = 8
# The same where jobs wait for their endpoint: so many times more after each look that had to park some, up to this.
# A whole backlog may be of that one type, and what is looked at to be parked is looked at once.
THROTTLED_STEP, MOST_THROTTLED = 4, 1024
# Claims in a row while there is more than one of them saw.
MOST_LOOKS = 200


def shares_per_claim(limit: int) -> int:
    """How many tenants a claim of so many jobs looks at, while no more wait."""
    return min(max(-(-limit // JOBS_PER_SHARE), LEAST_SHARES), MOST_SHARES)


def shares_of_many(shares: int) -> int:
    """How many tenants a claim looks at while more wait than these `shares`."""
    return max(-(-shares // LONGER_TURNS), LEAST_SHARES)


def lock_parameters(pool: str, limit: int) -> dict[str, Any]:
    """Those of `lock_shares.sql` for a claim of so many jobs."""
    shares = shares_per_claim(limit)
    return {"pool": pool, "shares": shares, "shares_of_many": shares_of_many(shares), "lanes": LANES_PER_SHARE}


def claim_parameters(
    pool: str, locked: Any, *, limit: int, lease_seconds: float, throttled_jobs: int = LEAST_JOBS
) -> dict[str, Any]:
    """Those of `claim_jobs.sql`, after the row that `lock_shares.sql` answered: its lists go back as they came."""
    return {
        "pool": pool,
        "tenants": locked.tenants,
        "found": locked.lanes,
        "is_full": locked.is_full,
        "lanes": LANES_PER_SHARE,
        "limit": limit,
        "least_jobs": LEAST_JOBS,
        "throttled_jobs": throttled_jobs,
        "running": DEFAULTS["running"],
        "lease_seconds": lease_seconds,
    }
