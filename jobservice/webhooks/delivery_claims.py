"""Which deliveries go next: in turns of tenants and of their targets, within the slots that each may have at once.

A target is an endpoint, or all callbacks of a tenant. What it may have follows from how its last tries went
(`note_health.sql`). Run by the dispatcher, which sees nothing sealed.
"""

from __future__ import annotations

import time
from pathlib import Path

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.delivery_refs import read_ref

_SQL = Path(__file__).resolve().parent / "sql"
STAGE_LIMIT = 1000
TARGETS_PER_CLAIM = 100
# At once to one endpoint that works, and to a target that nobody has tried or that is slow.
GOOD_SLOTS, NEW_SLOTS = 50, 8
SLOW_MS = 5_000
# That a tenant may have of receivers that may not answer, however few slots there are.
LEAST_DOUBTFUL = 4
# As many as one egress process has, unless it is told otherwise.
USUAL_SLOTS = 200
_TRIES, _PAUSE_SECONDS = 5, 0.01


def claim_deliveries(limit: int, *, lease_seconds: float, slots: int = USUAL_SLOTS) -> list[Ref]:
    """Claim up to `limit` pending deliveries for their turn; `slots` are those of all workers."""
    began = time.perf_counter()
    parameters = {
        "limit": limit,
        "lease_seconds": lease_seconds,
        "targets": TARGETS_PER_CLAIM,
        "good_slots": GOOD_SLOTS,
        "new_slots": NEW_SLOTS,
        "slow_ms": SLOW_MS,
        # Never all of them to one tenant, and of those that may not answer less.
        "tenant_slots": max(1, slots * 3 // 4),
        "tenant_doubtful_slots": max(LEAST_DOUBTFUL, slots // 8),
        "doubtful_slots": max(1, slots // 2),
        "troubled_slots": max(1, slots // 4),
    }
    with transaction.atomic():
        _hold_claims()
        rows = run_statement(_SQL / "claim_deliveries.sql", parameters)
    if rows:
        crash_point("deliver.claimed")
    duration_ms = round((time.perf_counter() - began) * 1000, 3)
    log_event("deliveries_claimed", level="debug", pool="deliveries", count=len(rows), duration_ms=duration_ms)
    return [read_ref(row) for row in rows]


def stage_due_deliveries() -> int:
    """Make deliveries pending whose next try has become due. The number made pending."""
    return len(run_statement(_SQL / "stage_deliveries.sql", {"limit": STAGE_LIMIT}))


def _hold_claims() -> None:
    """Wait for another dispatcher's claim, but not for one that stands still: then a slot too many may be taken."""
    for _ in range(_TRIES):
        (row,) = run_statement(_SQL / "hold_delivery_claims.sql", {})
        if row.is_held:
            return
        time.sleep(_PAUSE_SECONDS)
