"""How many deliveries wait and how long, for the operator's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
EXACT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class DeliveryBacklog:
    """Unfinished deliveries by state, and the age in seconds of the oldest due one."""

    deliveries: Mapping[str, int]
    oldest_due_seconds: float


def read_delivery_backlog() -> DeliveryBacklog:
    """Count what is unfinished now, of all tenants; exact up to a limit. Run by the dispatcher."""
    rows = run_statement(_SQL / "count_unfinished.sql", {"limit": EXACT_LIMIT})
    return DeliveryBacklog({row.state: row.deliveries for row in rows}, max(row.seconds or 0.0 for row in rows))
