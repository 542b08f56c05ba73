"""How endpoints take what they are told: a summary of their latest tries, at the cost of a bounded number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from jobservice.statements import run_statement
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
# How many deliveries of an endpoint are looked at, the latest, and how many tries of each.
WINDOW = 200
_MOST_TRIES = 5


@dataclass(frozen=True, slots=True)
class TriesOfEndpoint:
    """Of the latest tries: how many there were, how many were taken, and how long nearly all of them took."""

    tries: int
    taken: int
    p95_ms: int
    last_failure_at: datetime | None

    @property
    def share(self) -> float:
        return self.taken / self.tries


def sum_up_tries(tenant_id: UUID, endpoints: Sequence[UUID], *, since: datetime) -> Mapping[UUID, TriesOfEndpoint]:
    """By endpoint, of its latest `WINDOW` deliveries made from `since` on; without those that had no try."""
    parameters = {
        "tenant": tenant_id,
        "endpoints": list(endpoints),
        "since": since,
        "window": WINDOW,
        "limit": _MOST_TRIES,
    }
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "sum_up_tries.sql", parameters) if endpoints else []
    return {row.endpoint_id: TriesOfEndpoint(row.tries, row.taken, row.p95_ms, row.last_failure_at) for row in rows}
