"""A worker's right to run jobs: the fenced start of a group, its renewal, and giving jobs back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.lanes import activate_lanes
from jobservice.jobs.outcomes import RetryPolicy, StartedJob
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a heartbeat learned: jobs still ours, and those of them that somebody asked to cancel."""

    kept: frozenset[tuple[UUID, int]]
    cancelled: frozenset[tuple[UUID, int]]


def start_jobs(refs: Sequence[Ref], *, worker_id: UUID, group_id: UUID, lease_seconds: float) -> list[StartedJob]:
    """Start the group: those jobs still dispatched under the epoch the message names, in the message's order.

    The others were cancelled, taken back or already started; the message is a hint and they are simply left out.
    One transaction; `started_at` of each is the database's clock.
    """
    with tenants_tx(ref.tenant_id for ref in refs):
        started = run_statement(
            _SQL / "start_jobs.sql",
            {**_arrays(refs), "worker": worker_id, "group": group_id, "lease_seconds": lease_seconds},
        )
        ours = {"tenants": [row.tenant_id for row in started], "jobs": [row.job_id for row in started]}
        rows = run_statement(_SQL / "read_started_jobs.sql", ours) if started else []
    jobs = {row.job_id: _started_job(row) for row in rows}
    for job in jobs.values():
        _tell_started(job)
    return [jobs[ref.id] for ref in refs if ref.id in jobs]


def renew_leases(refs: Sequence[Ref], *, worker_id: UUID, lease_seconds: float) -> Renewal:
    """Prolong the leases this worker still holds. A job missing from `kept` belongs to somebody else: stop it."""
    with tenants_tx(ref.tenant_id for ref in refs):
        rows = run_statement(
            _SQL / "renew_leases.sql", {**_arrays(refs), "worker": worker_id, "lease_seconds": lease_seconds}
        )
    return Renewal(
        kept=frozenset((row.job_id, row.epoch) for row in rows),
        cancelled=frozenset((row.job_id, row.epoch) for row in rows if row.cancel_requested),
    )


def release_jobs(refs: Sequence[Ref], *, worker_id: UUID) -> int:
    """Give started jobs that did not run back: available at once, a new epoch, no attempt counted. The number given."""
    with tenants_tx(ref.tenant_id for ref in refs):
        rows = run_statement(_SQL / "release_jobs.sql", {**_arrays(refs), "worker": worker_id})
        activate_lanes({row.lane_id for row in rows})
    return len(rows)


def _tell_started(job: StartedJob) -> None:
    """The wait is that of the first start: later ones begin when their backoff says so."""
    wait = max(0.0, (job.started_at - job.run_at).total_seconds()) if job.attempt == 1 else None
    log_event(
        "job_started",
        level="debug",
        tenant_id=job.tenant_id,
        job_id=job.job_id,
        epoch=job.epoch,
        attempt=job.attempt,
        executor=job.executor,
        wait_ms=None if wait is None else round(wait * 1000, 1),
    )


def _arrays(refs: Sequence[Ref]) -> dict[str, Any]:
    return {
        "tenants": [ref.tenant_id for ref in refs],
        "jobs": [ref.id for ref in refs],
        "epochs": [ref.epoch for ref in refs],
    }


def _started_job(row: Any) -> StartedJob:
    return StartedJob(
        tenant_id=row.tenant_id,
        job_id=row.job_id,
        epoch=row.epoch,
        type=row.type,
        executor=row.executor,
        handler=row.handler,
        queue=row.queue,
        priority=row.priority,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        crash_count=row.crash_count,
        timeout_seconds=row.timeout_seconds,
        retry=retry_policy_from(row.retry),
        tags=row.tags,
        created_at=row.created_at,
        run_at=row.run_at,
        started_at=row.started_at,
        traceparent=row.traceparent,
        payload_id=row.payload_id,
        sealed_payload=bytes(row.sealed_payload),
    )


def retry_policy_from(stored: dict[str, Any]) -> RetryPolicy:
    """The policy of a job row: a checked object whose unknown keys (of a newer version) are left out."""
    known = {name: stored[name] for name in RetryPolicy.__slots__ if name in stored}
    if known.get("schedule_seconds") is not None:
        known["schedule_seconds"] = tuple(known["schedule_seconds"])
    return RetryPolicy(**known)
