"""Retry: a person or a program lets a job run again that is over, waits for its backoff or is held.

1. Lock the live row, else the row of the job that is over: nobody moves, erases or retries it meanwhile.
2. A job that is over takes its unique key again: before the lane is shared, as an accept does.
3. Make the job available under a new epoch, with its crashes forgiven and at least one try left.
4. Tell the timeline; wake the lane and the dispatcher. Count a job that was over, if there is room for it.
Its payload, attempts and earlier ends stay; the result and the error of the last end are shown with its attempt only.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.errors import NotFound
from jobservice.ids import JOB, show_id
from jobservice.jobs.erase import JobNotTerminal
from jobservice.jobs.job_search import read_job
from jobservice.jobs.lanes import activate_lanes, make_lanes
from jobservice.jobs.models import Job
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.selectors import show_job
from jobservice.jobs.states import PRIORITY_STEP_SECONDS, sources_of
from jobservice.jobs.story import tell_story
from jobservice.jobs.unique_claims import retake_key
from jobservice.jobs.unique_option import UNFINISHED, HeldWhile
from jobservice.jobs.usage import Volume, take_room
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.quotas import DEFAULT_VOLUME, VolumeLimits

_SQL = Path(__file__).resolve().parent / "sql"
RETRIED = "job.retried"
RETRIED_STATES = sources_of("retry")


def retry_job(
    tenant_id: UUID,
    job_id: UUID,
    *,
    queues: Collection[str] | None = None,
    limits: VolumeLimits = DEFAULT_VOLUME,
) -> dict[str, Any]:
    """Make the job available again and answer it as the API shows it.

    `queues` are those whose jobs the caller may see, None for all. Raises `NotFound`, `JobNotTerminal` when it is due,
    claimed or runs, and of a job that is over `UniqueConflict` when another job has its unique key by now and
    `QuotaExceeded` when the tenant may have no more unfinished ones.
    """
    of_job = {"tenant": tenant_id, "job": job_id}
    with tenant_tx(tenant_id):
        locked = run_statement(_SQL / "lock_live_job.sql", of_job)
        if locked and locked[0].state not in RETRIED_STATES:
            raise JobNotTerminal(f"The job is {locked[0].state}; one that ended, failed or is held can be retried.")
        if locked:
            lanes = _retry_waiting(of_job, epoch=locked[0].epoch)
        elif run_statement(_SQL / "lock_ended_job.sql", of_job):
            lanes = _retry_ended(tenant_id, job_id, queues=queues)
        elif read_job(tenant_id, job_id) is None:
            raise NotFound("There is no job of this id.")
        else:
            # Somebody else retried it while this waited for the lock.
            raise JobNotTerminal("The job is not over any more.")
        activate_lanes(lanes)
        tell_story(tenant_id, job_id, RETRIED)
        if not locked:
            _count(tenant_id, limits)
        transaction.on_commit(wake_dispatcher)
        transaction.on_commit(partial(log_event, "job_retried", tenant_id=tenant_id, job_id=job_id))
        note_act(tenant_id, "job.retried", show_id(JOB, job_id))
        crash_point("retry.before_commit")
        return show_job(tenant_id, job_id)


def _retry_waiting(of_job: dict[str, UUID], *, epoch: int) -> list[int]:
    rows = run_statement(_SQL / "retry_waiting_job.sql", {**of_job, **_STEP, "epoch": epoch})
    return [row.lane_id for row in rows]


def _retry_ended(tenant_id: UUID, job_id: UUID, *, queues: Collection[str] | None) -> list[int]:
    # A second statement sees the row as it was locked.
    job = Job.objects.get(tenant_id=tenant_id, id=job_id)
    _retake_key(job, queues=queues)
    lane = _share_lane(tenant_id, job.queue, job.pool)
    rows = run_statement(_SQL / "retry_ended_job.sql", {"tenant": tenant_id, "job": job_id, "lane": lane, **_STEP})
    return [row.lane_id for row in rows]


def _count(tenant_id: UUID, limits: VolumeLimits) -> None:
    """It is one more unfinished job; not one more of the day, for it was accepted once. Raises `QuotaExceeded`."""
    wanted = Volume(open_jobs=1)
    if (used := take_room(tenant_id, wanted, limits)) and (refusal := used.find_refusal(wanted, limits)):
        raise refusal


def _retake_key(job: Job, *, queues: Collection[str] | None) -> None:
    """The job holds its unique key again; not one that it held while it waited, once it has started."""
    if job.unique_hash is None or (job.unique_while != UNFINISHED and job.first_started_at is not None):
        return
    held_while = cast(HeldWhile, job.unique_while)
    retake_key(job.tenant_id, job.id, hashed=bytes(job.unique_hash), held_while=held_while, queues=queues)


def _share_lane(tenant_id: UUID, queue: str, pool: str) -> int:
    """The lane's id, under a lock that keeps it awake or lets us wake it."""
    of_lane = {"tenant": tenant_id, "queue": queue, "pool": pool}
    lanes = run_statement(_SQL / "share_lane.sql", of_lane)
    if not lanes:
        make_lanes(tenant_id, {(queue, pool)})
        lanes = run_statement(_SQL / "share_lane.sql", of_lane)
    lane_id: int = lanes[0].id
    return lane_id


_STEP = {"priority_step_seconds": PRIORITY_STEP_SECONDS}
