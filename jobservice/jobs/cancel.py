"""Cancel: a job that waits, or that no worker has started, is over at once; a run is asked to stop.

1. Lock the live row.
2. Not started: end the job as cancelled. A worker that was chosen for it finds nothing to start.
3. Running: note the wish. Its worker looks each second, stops the run, and what the run came to is not taken: whoever
   settles it, ends the job as cancelled.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.errors import Conflict, NotFound
from jobservice.ids import JOB, show_id
from jobservice.jobs.ending import End, end_jobs, tell_ended_without_run
from jobservice.jobs.job_search import read_job
from jobservice.jobs.limits import free_slots
from jobservice.jobs.selectors import show_job
from jobservice.jobs.settle import CANCELLED
from jobservice.jobs.states import sources_of
from jobservice.jobs.story import tell_story
from jobservice.jobs.usage import count_ended
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
CANCEL_REQUESTED = "job.cancel_requested"
SOURCES = sources_of("cancel")


class JobTerminal(Conflict):
    """The job is over already."""

    code = "job-terminal"


def cancel_job(tenant_id: UUID, job_id: UUID) -> dict[str, Any]:
    """Cancel the job, or ask its run to stop, and answer it as the API shows it. Asking again changes nothing.

    Raises `NotFound` and `JobTerminal`.
    """
    with tenant_tx(tenant_id):
        locked = run_statement(_SQL / "lock_live_job.sql", {"tenant": tenant_id, "job": job_id})
        if not locked:
            if read_job(tenant_id, job_id) is None:
                raise NotFound("There is no job of this id.")
            raise JobTerminal("The job is over already.")
        (row,) = locked
        if row.state == "executing":
            _request(tenant_id, row)
        else:
            _end(tenant_id, row)
        note_act(tenant_id, "job.cancelled", show_id(JOB, job_id))
        crash_point("cancel.before_commit")
        return show_job(tenant_id, job_id)


def _end(tenant_id: UUID, row: Any) -> None:
    end = End(tenant_id, row.job_id, row.epoch, CANCELLED, error_code=CANCELLED)
    ended = end_jobs([end], sources=SOURCES)
    free_slots(ended)
    count_ended(ended)
    transaction.on_commit(partial(tell_ended_without_run, ended))


def _request(tenant_id: UUID, row: Any) -> None:
    asked = run_statement(_SQL / "request_cancel.sql", {"tenant": tenant_id, "job": row.job_id, "epoch": row.epoch})
    if asked:
        tell_story(tenant_id, row.job_id, CANCEL_REQUESTED)
        transaction.on_commit(partial(log_event, "job_cancel_requested", tenant_id=tenant_id, job_id=row.job_id))
