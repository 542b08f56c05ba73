"""Dispatch: the fair claim of due jobs, the staging of those that became due, the rescue of those whose lease ended.

Run by the dispatcher, any number of them at once. It sees no sealed column and holds no key.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.lanes import activate_lanes
from jobservice.jobs.outcomes import CRASHES_TO_SUSPEND
from jobservice.logs import log_event
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
# Lanes looked at in one claim: more only matter when each of them has fewer than limit / LANES jobs.
LANES_PER_CLAIM = 50
STAGE_LIMIT = 1000
REAP_LIMIT = 500
_EXECUTORS = {"handlers": "handler", "egress": "http"}


@dataclass(frozen=True, slots=True)
class Claim:
    """A job now dispatched: what the message names it by, and what decides with whom it travels."""

    ref: Ref
    type: str
    crash_count: int


@dataclass(frozen=True, slots=True)
class Reaped:
    """How many jobs came back: never started, started by a worker that died, and held after their third crash."""

    returned: int
    crashed: int
    suspended: int


def claim_jobs(pool: str, *, limit: int, lease_seconds: float) -> list[Claim]:
    """Claim up to `limit` available jobs of the pool, each for its lane's turn, and move the lanes on. One statement.

    Turns are start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996): the n-th job taken from a lane has the start
    tag vtime + (n - 1) / weight, and the smallest tags win.
    """
    if limit <= 0:
        return []
    began = time.perf_counter()
    rows = run_statement(
        _SQL / "claim_jobs.sql",
        {"pool": pool, "lanes": LANES_PER_CLAIM, "limit": limit, "lease_seconds": lease_seconds},
    )
    duration_ms = round((time.perf_counter() - began) * 1000, 3)
    log_event("jobs_claimed", level="debug", pool=pool, count=len(rows), duration_ms=duration_ms)
    for row in rows:
        log_event("job_claimed", level="debug", tenant_id=row.tenant_id, job_id=row.job_id, epoch=row.epoch, pool=pool)
    return [Claim(Ref(row.tenant_id, row.job_id, row.epoch), row.type, row.crash_count) for row in rows]


def return_claims(refs: Sequence[Ref]) -> int:
    """Give back claims that were never published: available again, their epoch spent. The number given back."""
    if not refs:
        return 0
    with transaction.atomic():
        rows = run_statement(
            _SQL / "return_claims.sql", {"jobs": [ref.id for ref in refs], "epochs": [ref.epoch for ref in refs]}
        )
        activate_lanes(row.lane_id for row in rows)
    return len(rows)


def stage_due_jobs() -> int:
    """Make scheduled and retryable jobs available whose time has come. The number made available."""
    with transaction.atomic():
        rows = run_statement(_SQL / "stage_due_jobs.sql", {"limit": STAGE_LIMIT})
        activate_lanes(row.lane_id for row in rows)
    return len(rows)


def reap_leases() -> Reaped:
    """Take back jobs whose lease ended.

    Dispatched: the message was lost, nothing is counted. Executing: the worker died, a crash is counted and kept as
    an attempt, and the third one holds the job as suspended.
    """
    with transaction.atomic():
        returned = run_statement(_SQL / "reap_dispatched.sql", {"limit": REAP_LIMIT})
        activate_lanes(row.lane_id for row in returned)
    with transaction.atomic():
        crashed = run_statement(
            _SQL / "reap_executing.sql", {"limit": REAP_LIMIT, "crashes_to_suspend": CRASHES_TO_SUSPEND}
        )
        if crashed:
            run_statement(_SQL / "insert_attempts.sql", _crashed_attempts(crashed))
        activate_lanes(row.lane_id for row in crashed if row.state == "available")
    _tell_reaped(returned, crashed)
    suspended = sum(row.state == "suspended" for row in crashed)
    return Reaped(len(returned), len(crashed), suspended)


def _tell_reaped(returned: Sequence[Any], crashed: Sequence[Any]) -> None:
    for row in returned:
        log_event("lease_expired", level="debug", tenant_id=row.tenant_id, job_id=row.job_id, state="dispatched")
    for row in crashed:
        names = {"tenant_id": row.tenant_id, "job_id": row.job_id, "epoch": row.epoch}
        log_event("lease_expired", level="warning", **names, state="executing")
        executor = _EXECUTORS[row.pool]
        log_event("run_recorded", level="debug", **names, executor=executor, outcome="crashed", state=row.state)
        if row.state == "suspended":
            log_event("job_suspended", level="warning", **names)


def _crashed_attempts(rows: Sequence[Any]) -> dict[str, Any]:
    nothing: list[UUID | None] = [None] * len(rows)
    return {
        "tenants": [row.tenant_id for row in rows],
        "jobs": [row.job_id for row in rows],
        "epochs": [row.epoch for row in rows],
        "ids": [new_id() for _ in rows],
        "numbers": [row.attempt for row in rows],
        "workers": [row.worker_id for row in rows],
        "started": [row.started_at for row in rows],
        "finished": [row.reaped_at for row in rows],
        "outcomes": ["crashed"] * len(rows),
        "error_codes": ["crashed"] * len(rows),
        "errors": nothing,
        "results": nothing,
    }
