"""Which claimed jobs travel in one message. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.claims import Claim

# A handler this fast may share a slot with others; a slower one would make its neighbours wait.
SHORT_MS = 20.0
GROUP_LIMIT = 50
# On the egress nobody waits for a neighbour, and the message costs more than a few of those in it.
EGRESS_GROUP_LIMIT = 100


def group_for_handlers(
    claims: Sequence[Claim], *, slots: int, jobs_per_slot: int, run_times: Mapping[str, float]
) -> list[list[Ref]]:
    """Short jobs share a message, spread over the slots; the others travel alone.

    A job that crashed before, or whose type's run time is long or not known, travels alone: when a worker vanishes
    every job it had started counts a crash, and an innocent one must never reach three.
    """
    shared = [claim.ref for claim in claims if _is_short(claim, run_times)]
    alone = [[claim.ref] for claim in claims if not _is_short(claim, run_times)]
    size = min(jobs_per_slot, GROUP_LIMIT, max(1, math.ceil(len(shared) / max(1, slots))))
    return [shared[start : start + size] for start in range(0, len(shared), size)] + alone


def group_for_egress(refs: Sequence[Ref]) -> list[list[Ref]]:
    """The egress runs a message's jobs side by side, so any of them may travel together."""
    size = EGRESS_GROUP_LIMIT
    return [list(refs[start : start + size]) for start in range(0, len(refs), size)]


def _is_short(claim: Claim, run_times: Mapping[str, float]) -> bool:
    return claim.crash_count == 0 and run_times.get(claim.type, math.inf) <= SHORT_MS
