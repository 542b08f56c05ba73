"""How far a claim looks. What it takes follows from the credits; what it passes over must cost little."""

from __future__ import annotations

# While no more tenants wait than one for each dozen jobs of a claim, it looks at all of them, and goes by turns of one
# job. Of more it looks at fewer, and each is given about four dozen in its turn: small turns are fairer from one
# moment to the next, but each tenant looked at costs a claim about as much as ten jobs.
JOBS_PER_SHARE = 12
LONGER_TURNS = 4
LEAST_SHARES, MOST_SHARES = 4, 50
LANES_PER_SHARE = 20
# Where all that a look met had less than their turn, the next one looks at so many times more tenants.
WIDER_STEP = 2
# Where it had to park jobs, the next one looks at more of the lane: a whole backlog may be of one busy key, or for one
# endpoint that wants a pause, and what is parked is looked at once.
FIRST_DEEPER, DEEPER_STEP, DEEPEST = 32, 4, 1024
# Looks of one claim, while there is more than one of them saw.
MOST_LOOKS = 200


def shares_per_look(limit: int, wider: int = 1) -> int:
    """How many tenants a look for so many jobs meets, while no more wait."""
    return min(max(-(-limit // JOBS_PER_SHARE), LEAST_SHARES) * wider, MOST_SHARES)


def shares_of_many(limit: int, wider: int = 1) -> int:
    """How many tenants it meets while more wait than those."""
    return min(max(-(-limit // (JOBS_PER_SHARE * LONGER_TURNS)), LEAST_SHARES) * wider, MOST_SHARES)


def deeper_look(jobs: int) -> int:
    """How many jobs of a lane are looked at after a look at so many (0: at no more than it took) parked some."""
    return min(max(DEEPER_STEP * jobs, FIRST_DEEPER), DEEPEST)
