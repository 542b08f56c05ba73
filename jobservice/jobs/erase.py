"""Erase: an ended job and all its data leave the database, in one transaction.

1. Lock the job's row: it is over, and nobody can make it run again meanwhile.
2. End its deliveries; remove its events, deliveries and their tries, its attempts, tags and unique key, and itself.
3. Remove its sealed values, but for those that another job was submitted with too.
Answers kept for an idempotency key are none of its data: they hold what the request was answered, and leave by age.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from jobservice.errors import Conflict, NotFound
from jobservice.jobs.job_search import read_job
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.erase import erase_events
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"


class JobNotTerminal(Conflict):
    """The job is not over yet."""

    code = "job-not-terminal"


def erase_job(tenant_id: UUID, job_id: UUID) -> None:
    """Erase the job. Raises `NotFound` and `JobNotTerminal`."""
    of_job = {"tenant": tenant_id, "job": job_id}
    with tenant_tx(tenant_id):
        if not run_statement(_SQL / "lock_ended_job.sql", of_job):
            if read_job(tenant_id, job_id) is None:
                raise NotFound("There is no job of this id.")
            raise JobNotTerminal("The job is not over; cancel it first.")
        blob_ids = erase_events(tenant_id, job_id)
        blob_ids |= {row.blob_id for row in run_statement(_SQL / "erase_job.sql", of_job)}
        run_statement(_SQL / "erase_blobs.sql", {"tenant": tenant_id, "blobs": sorted(blob_ids)})
    log_event("job_erased", tenant_id=tenant_id, job_id=job_id)
