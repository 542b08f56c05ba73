"""What the database says of jobs this worker holds, for the parent, which runs none itself and keeps no copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.models import LiveJob
from jobservice.jobs.outcomes import StartedJob
from jobservice.jobs.runs import read_runs
from tenants.context import tenants_tx


@dataclass(frozen=True, slots=True)
class Held:
    """References this worker holds, and those of them that somebody asked to cancel."""

    kept: frozenset[tuple[UUID, int]]
    cancelled: frozenset[tuple[UUID, int]]


def look_at_held(refs: Sequence[Ref], *, worker_id: UUID) -> Held:
    """Which of these this worker still runs; a look, no renewal. Index: job_live's primary key."""
    with tenants_tx(ref.tenant_id for ref in refs):
        rows = _held_rows(refs, worker_id)
    return Held(
        kept=frozenset((row.job_id, row.epoch) for row in rows),
        cancelled=frozenset((row.job_id, row.epoch) for row in rows if row.cancel_requested),
    )


def find_held_jobs(refs: Sequence[Ref], *, worker_id: UUID) -> list[StartedJob]:
    """Those that this worker still holds, as `record` needs them; their payload is left out."""
    with tenants_tx(ref.tenant_id for ref in refs):
        rows = {(row.job_id, row.epoch): row for row in _held_rows(refs, worker_id)}
        # Not locked: one that was handed out again between the two looks is somebody else's.
        return [job for job in read_runs(list(rows.values())) if (job.job_id, job.epoch) in rows]


def _held_rows(refs: Sequence[Ref], worker_id: UUID) -> list[Any]:
    """The tenants come with the transaction: row-level security shows no other row."""
    wanted = {(ref.id, ref.epoch) for ref in refs}
    rows = LiveJob.objects.filter(job_id__in=[ref.id for ref in refs], worker_id=worker_id, state="executing")
    return [row for row in rows if (row.job_id, row.epoch) in wanted]
