"""Erase: an ended job and all its data leave the database, in one transaction.

1. Lock the job's row: it is over, and nobody can make it run again meanwhile.
2. End its deliveries; remove its unique key, events, deliveries and their tries, its attempts and tags, and itself.
3. Remove its sealed values, but for those that another job was submitted with too, and count them out.
Answers kept for an idempotency key are none of its data: they hold what the request was answered, and leave by age.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction

from jobservice.errors import Conflict, NotFound
from jobservice.ids import JOB, show_id
from jobservice.jobs.job_search import read_job
from jobservice.jobs.unique_claims import forget_key
from jobservice.jobs.usage import COUNTED_KINDS, Volume, count_usage
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.erase import erase_events
from tenants.audit import note_act
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"


class JobNotTerminal(Conflict):
    """The job is not over yet."""

    code = "job-not-terminal"


def erase_job(tenant_id: UUID, job_id: UUID) -> None:
    """Erase the job. Raises `NotFound` and `JobNotTerminal`."""
    of_job = {"tenant": tenant_id, "job": job_id}
    with tenant_tx(tenant_id):
        locked = run_statement(_SQL / "lock_ended_job.sql", of_job)
        if not locked:
            if read_job(tenant_id, job_id) is None:
                raise NotFound("There is no job of this id.")
            raise JobNotTerminal("The job is not over; cancel it first.")
        if locked[0].unique_hash is not None:
            forget_key(tenant_id, job_id, bytes(locked[0].unique_hash))
        blob_ids = erase_events(tenant_id, job_id)
        blob_ids |= {row.blob_id for row in run_statement(_SQL / "erase_job.sql", of_job)}
        gone = run_statement(_SQL / "erase_blobs.sql", {"tenant": tenant_id, "blobs": sorted(blob_ids)})
        freed = sum(row.sealed_bytes for row in gone if row.kind in COUNTED_KINDS)
        count_usage({tenant_id: Volume(stored_bytes=-freed)})
        transaction.on_commit(partial(log_event, "job_erased", tenant_id=tenant_id, job_id=job_id))
        note_act(tenant_id, "job.erased", show_id(JOB, job_id))
