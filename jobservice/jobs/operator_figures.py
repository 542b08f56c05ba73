"""The operators' table of tenants: what each has of what runs, and should have. Figures, and no row of a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.statements import run_statement
from tenants.operators import OperatorSession
from tenants.quotas import limit_of

_SQL = Path(__file__).resolve().parent / "sql"
# Lanes whose first job is looked at: twice as many as 10,000 tenants with work in one queue each have.
LANES_LOOKED_AT = 20_000
# Waiting jobs of one tenant are counted so far.
WAITING_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class TenantFigures:
    """A tenant now. Shares are from 0 to 1 of all that runs; None while nothing runs, or of who has no work.

    `waiting` beyond `WAITING_COUNTED` means more than that.
    """

    tenant_id: UUID
    name: str
    status: str
    weight: int
    plan: str | None
    running: int
    running_limit: int | None
    waiting: int
    oldest_wait_seconds: float | None
    open_jobs: int
    open_limit: int | None
    share: float | None
    fair_share: float | None


@dataclass(frozen=True, slots=True)
class TenantPage:
    """Some tenants, and over all of them how many there are of the wanted names and how many jobs run."""

    tenants: list[TenantFigures]
    found: int
    running: int


def list_tenant_figures(
    session: OperatorSession, *, prefix: str = "", by_wait: bool = True, limit: int, skip: int = 0
) -> TenantPage:
    """Tenants whose names begin so, the longest wait first or by their names.

    Raises Django's `ProgrammingError` for a session that is no operator's.
    """
    parameters = {
        "session_key": session.key,
        "prefix": prefix,
        "by_wait": by_wait,
        "limit": limit,
        "skip": skip,
        "lanes": LANES_LOOKED_AT,
        "counted": WAITING_COUNTED,
    }
    rows = run_statement(_SQL / "list_operator_tenants.sql", parameters)
    return TenantPage(
        [_figures(row) for row in rows],
        found=rows[0].tenants if rows else 0,
        running=rows[0].all_running if rows else 0,
    )


def _figures(row: Any) -> TenantFigures:
    return TenantFigures(
        tenant_id=row.tenant_id,
        name=row.name,
        status=row.status,
        weight=row.weight,
        plan=row.plan,
        running=row.running,
        running_limit=limit_of(row.quotas, "running"),
        waiting=row.waiting,
        oldest_wait_seconds=row.oldest_due_seconds,
        open_jobs=row.open_jobs,
        open_limit=limit_of(row.quotas, "open_jobs"),
        share=row.running / row.all_running if row.all_running and row.has_work else None,
        fair_share=row.weight / row.all_weights if row.has_work else None,
    )
