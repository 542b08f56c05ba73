"""Expire: a job that did not start by its deadline is cancelled. Run by the dispatcher, any number of them at once."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.jobs.ending import End, end_jobs, tell_ended_without_run
from jobservice.jobs.limits import free_slots
from jobservice.jobs.settle import CANCELLED, EXPIRED
from jobservice.jobs.states import sources_of
from jobservice.jobs.usage import count_ended
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
EXPIRE_LIMIT = 500
SOURCES = sources_of("expire")


def expire_jobs() -> int:
    """Cancel jobs whose deadline to start has passed, at most `EXPIRE_LIMIT`. The number cancelled."""
    with transaction.atomic():
        rows = run_statement(_SQL / "lock_expired_jobs.sql", {"limit": EXPIRE_LIMIT})
        ends = [End(row.tenant_id, row.job_id, row.epoch, CANCELLED, error_code=EXPIRED) for row in rows]
        ended = end_jobs(ends, sources=SOURCES)
        free_slots(ended)
        count_ended(ended)
        if ended:
            crash_point("expire.before_commit")
    tell_ended_without_run(ended)
    return len(ended)
