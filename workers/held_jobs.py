"""What the database says of jobs this worker holds, for the parent, which runs none itself and keeps no copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.leases import retry_policy_from
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.outcomes import StartedJob
from tenants.context import tenants_tx


@dataclass(frozen=True, slots=True)
class Held:
    """References this worker holds, and those of them that somebody asked to cancel."""

    kept: frozenset[tuple[UUID, int]]
    cancelled: frozenset[tuple[UUID, int]]


def look_at_held(refs: Sequence[Ref], *, worker_id: UUID) -> Held:
    """Which of these this worker still runs; a look, no renewal. Index: job_live's primary key."""
    rows = _held_rows(refs, worker_id)
    return Held(
        kept=frozenset((row.job_id, row.epoch) for row in rows),
        cancelled=frozenset((row.job_id, row.epoch) for row in rows if row.cancel_requested),
    )


def find_held_jobs(refs: Sequence[Ref], *, worker_id: UUID) -> list[StartedJob]:
    """Those that this worker still holds, as `record` needs them; their payload is left out."""
    held = {row.job_id: row for row in _held_rows(refs, worker_id)}
    with tenants_tx(ref.tenant_id for ref in refs):
        jobs = list(Job.objects.filter(id__in=held))
    return [_started_job(job, held[job.id]) for job in jobs]


def _held_rows(refs: Sequence[Ref], worker_id: UUID) -> list[Any]:
    """The tenants come with the transaction: row-level security shows no other row."""
    wanted = {(ref.id, ref.epoch) for ref in refs}
    with tenants_tx(ref.tenant_id for ref in refs):
        rows = LiveJob.objects.filter(job_id__in=[ref.id for ref in refs], worker_id=worker_id, state="executing")
        return [row for row in rows if (row.job_id, row.epoch) in wanted]


def _started_job(job: Job, row: LiveJob) -> StartedJob:
    assert row.started_at is not None  # noqa: S101 (an executing row has one; for the type checker)
    return StartedJob(
        tenant_id=job.tenant_id,
        job_id=job.id,
        epoch=row.epoch,
        type=job.type,
        executor=job.executor,
        handler=job.handler,
        queue=job.queue,
        priority=job.priority,
        attempt=row.attempt,
        max_attempts=job.max_attempts,
        crash_count=row.crash_count,
        timeout_seconds=job.timeout_seconds,
        retry=retry_policy_from(job.retry),
        tags=job.tags,
        created_at=job.created_at,
        run_at=job.run_at,
        started_at=row.started_at,
        traceparent=job.traceparent,
        payload_id=job.payload_id,
        sealed_payload=b"",
    )
