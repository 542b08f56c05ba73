"""The workers as people see them: which serve a tenant's jobs, and what of its own they run.

Workers are the operator's and serve all tenants. Of a worker a tenant is told what a job that waits tells it anyway
(`waiting.py`): that it is there, and its slots. Where it runs, and what it runs for everybody together, is in `Place`,
which is for operators only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from jobservice.ids import show_id
from jobservice.jobs.fleet import SILENT_SECONDS
from jobservice.jobs.timeline import WORKER
from jobservice.statements import run_statement
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
POOLS = ("handlers", "egress", "deliveries")
MOST_WORKERS = 200
# Of more than so many jobs of a tenant that run, not all are counted.
MOST_COUNTED = 5000

WorkerState = Literal["live", "draining", "silent"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs, and how many of its slots are in use for all tenants; None: it does not tell."""

    host: str
    pid: int
    busy_slots: int | None


@dataclass(frozen=True, slots=True)
class WorkerView:
    """`running` is what it runs of one tenant. Silent: nothing was heard of it for `SILENT_SECONDS`."""

    id: str
    pool: str
    version: str
    state: WorkerState
    slots: int
    running: int
    started_at: datetime
    seen_at: datetime
    place: Place | None


def list_workers(tenant_id: UUID, *, with_places: bool = False) -> list[WorkerView]:
    """The workers, the silent ones last, `MOST_WORKERS` at most. `with_places`: for operators of the installation."""
    parameters = {
        "tenant": tenant_id,
        "silent_seconds": SILENT_SECONDS,
        "counted": MOST_COUNTED,
        "limit": MOST_WORKERS,
    }
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "list_workers.sql", parameters)
    return [_view(row, with_place=with_places) for row in rows]


def _view(row: Any, *, with_place: bool) -> WorkerView:
    return WorkerView(
        id=show_id(WORKER, row.id),
        pool=row.pool,
        version=row.version,
        state="silent" if row.is_silent else "draining" if row.is_draining else "live",
        slots=row.slots,
        running=row.running,
        started_at=row.started_at,
        seen_at=row.seen_at,
        place=Place(row.host, row.pid, row.busy_slots) if with_place else None,
    )
