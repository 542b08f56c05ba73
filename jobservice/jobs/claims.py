"""Dispatch: the fair claim of due jobs, and the staging of those that became due.

Run by the dispatcher, any number of them at once. It sees no sealed column and holds no key.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.jobs.claim_sizes import MOST_LOOKS
from jobservice.jobs.claim_steps import Look, Reach, Step, look_once
from jobservice.jobs.lanes import activate_lanes
from jobservice.jobs.leases import tell_refused
from jobservice.jobs.limits import free_slots
from jobservice.logs import log_event
from jobservice.statements import run_statement, run_together

_SQL = Path(__file__).resolve().parent / "sql"
STAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """A job now dispatched: what the message names it by, and what decides with whom it travels."""

    ref: Ref
    type: str
    crash_count: int


def claim_jobs(pool: str, *, limit: int, lease_seconds: float) -> list[Claim]:
    """Claim up to `limit` available jobs of the pool, each for its turn and within every limit, and move the turns on.

    Whose turn it is tells `turns.py`. What is at a limit is put out of sight, so a claim costs what it takes, not what
    it passes over; see `limits.py`.
    """
    claims: list[Claim] = []
    began = time.perf_counter()
    reach = Reach()
    for _ in range(MOST_LOOKS):
        if len(claims) >= limit:
            break
        look = _claim_once(pool, limit - len(claims), lease_seconds, reach)
        if look is None:
            break
        claims += [Claim(Ref(row.tenant_id, row.job_id, row.epoch), row.type, row.crash_count) for row in look.jobs]
        if not look.has_more:
            break
        reach = look.next
    duration_ms = round((time.perf_counter() - began) * 1000, 3)
    log_event("jobs_claimed", level="debug", pool=pool, count=len(claims), duration_ms=duration_ms)
    for ref in (claim.ref for claim in claims):
        log_event("job_claimed", level="debug", tenant_id=ref.tenant_id, job_id=ref.id, epoch=ref.epoch, pool=pool)
    return claims


def _claim_once(pool: str, limit: int, lease_seconds: float, reach: Reach) -> Look | None:
    with transaction.atomic():
        look = look_once(_run, pool, limit=limit, lease_seconds=lease_seconds, reach=reach)
    if look is not None and look.jobs:
        crash_point("dispatch.claimed")
    return look


def _run(steps: Sequence[Step]) -> list[list[Any]]:
    return run_together([(_file(name), parameters) for name, parameters in steps])


@cache
def _file(name: str) -> Path:
    return _SQL / name


def return_claims(refs: Sequence[Ref]) -> int:
    """Give back claims that were never published: available again, their epoch spent. The number given back."""
    if not refs:
        return 0
    with transaction.atomic():
        rows = run_statement(
            _SQL / "return_claims.sql", {"jobs": [ref.id for ref in refs], "epochs": [ref.epoch for ref in refs]}
        )
        crash_point("dispatch.before_give_back")
        free_slots(rows, available=[row.lane_id for row in rows])
    crash_point("dispatch.given_back")
    tell_refused("claim", refs, kept={(row.job_id, row.epoch - 1) for row in rows})
    return len(rows)


def stage_due_jobs() -> int:
    """Make scheduled and retryable jobs available whose time has come. The number made available."""
    with transaction.atomic():
        rows = run_statement(_SQL / "stage_due_jobs.sql", {"limit": STAGE_LIMIT})
        activate_lanes(row.lane_id for row in rows)
        crash_point("stage.before_commit")
    crash_point("stage.after_commit")
    return len(rows)
