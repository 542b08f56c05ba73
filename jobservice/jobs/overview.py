"""What a tenant has now, for pages that are looked at all the time: counts by state and the queues that wait longest.

At a bounded cost, however many jobs there are: what is beyond a cap is only said to be. Exact numbers of one queue are
in `queue_counts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from jobservice.jobs.states import STATES
from jobservice.statements import run_statement
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
STATE_CAP = 1000
# For all lanes of a tenant together.
DEPTH_CAP = 20_000


@dataclass(frozen=True, slots=True)
class CappedCount:
    """So many; with `is_more`, and more."""

    count: int
    is_more: bool


@dataclass(frozen=True, slots=True)
class QueueWait:
    """How many jobs of a queue are due and wait, and since when the one is due whose turn is next in it."""

    queue: str
    waiting: CappedCount
    oldest_due_at: datetime | None
    oldest_due_seconds: float | None
    is_paused: bool


def count_states(tenant_id: UUID, *, cap: int = STATE_CAP) -> dict[str, CappedCount]:
    """How many jobs are in each state, each counted up to the cap."""
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "count_states.sql", {"tenant": tenant_id, "limit": cap})
    found = {row.state: row.jobs for row in rows}
    return {state: CappedCount(min(found.get(state, 0), cap), found.get(state, 0) > cap) for state in STATES}


def rank_queues(tenant_id: UUID, *, limit: int = 10) -> list[QueueWait]:
    """The queues in which jobs are due and wait, the one that waits longest first."""
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "rank_queues.sql", {"tenant": tenant_id, "entries": DEPTH_CAP, "limit": limit})
    return [
        QueueWait(
            row.queue,
            CappedCount(row.waiting, row.is_more),
            row.oldest_due_at,
            row.oldest_due_seconds,
            row.is_paused,
        )
        for row in rows
    ]
