"""What somebody did to a job, for its timeline: one event, told to no webhook of the job's own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from jobservice.ids import new_id
from jobservice.jobs.job_search import read_job
from jobservice.jobs.representation import represent_job
from jobservice.webhooks.events import NewEvent, insert_events


def tell_story(tenant_id: UUID, job_id: UUID, type_: str, *, details: dict[str, Any] | None = None) -> None:
    """Write the event with the job as it is now, in the caller's transaction, which holds the job's lock."""
    row = read_job(tenant_id, job_id)
    assert row is not None  # noqa: S101 (the caller has locked it; for the type checker)
    event = NewEvent(
        id=new_id(),
        tenant_id=tenant_id,
        job_id=job_id,
        type=type_,
        job=represent_job(row),
        epoch=row.epoch,
        result_id=None,
        error_id=None,
        metadata_id=None,
        callback_id=None,
        details=details,
    )
    insert_events([event])
