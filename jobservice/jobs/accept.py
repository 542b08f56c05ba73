"""Accept: checked submissions become stored jobs in one transaction. Committed means promised.

1. Seal payload, metadata and callback address, before the first INSERT.
2. Resolve the job types and their defaults; check each payload against its type's schema.
3. Store what was not refused: `store.py`.
The broker has no part in this; the dispatcher is woken after the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from jobservice.crash_points import crash_point
from jobservice.errors import Forbidden, JobserviceError, UnknownJobType
from jobservice.jobs.new_queues import find_refused
from jobservice.jobs.payload_schema import CheckTime, check_payload
from jobservice.jobs.planned_jobs import find_options, plan_job, seal_submission
from jobservice.jobs.store import Refused, Room, store_jobs
from jobservice.jobs.submission import Submission
from jobservice.jobs.type_resolution import ResolvedType, resolve_types
from tenants.context import tenant_tx
from tenants.quotas import DEFAULT_VOLUME, VolumeLimits
from tenants.quotas import DEFAULTS as DEFAULT_QUOTAS


def accept_job(
    tenant_id: UUID,
    submission: Submission,
    *,
    queues: Collection[str] | None = None,
    max_queues: int | None = DEFAULT_QUOTAS["queues"],
    limits: VolumeLimits = DEFAULT_VOLUME,
) -> dict[str, Any]:
    """Store the job and answer it as the API shows it; `queues` are those the caller may submit to, None for all.

    `max_queues` is how many the tenant may have, None for any number. When its unique key is held, the answer may be
    the holder, as `deduplicated`. Raises `UnknownJobType`, `Forbidden`, `QuotaExceeded` and `UniqueConflict`.
    """
    try:
        (answer,) = accept_jobs(
            tenant_id, [submission], queues=queues, is_atomic=True, max_queues=max_queues, limits=limits
        )
    except Refused as refused:
        raise refused.errors[0][0] from None
    if isinstance(answer, JobserviceError):
        raise answer
    return answer


def accept_jobs(
    tenant_id: UUID,
    submissions: Sequence[Submission],
    *,
    queues: Collection[str] | None = None,
    is_atomic: bool,
    max_queues: int | None = DEFAULT_QUOTAS["queues"],
    limits: VolumeLimits = DEFAULT_VOLUME,
) -> list[dict[str, Any] | JobserviceError]:
    """Store the jobs in one transaction; per job its answer as the API shows it, or why it was refused.

    Raises `Refused` when any is refused and the group is atomic, and `Unavailable`.
    """
    sealed = [seal_submission(tenant_id, submission) for submission in submissions]
    crash_point("accept.sealed")
    with tenant_tx(tenant_id):
        types = resolve_types(tenant_id, {submission.type for submission in submissions})
        errors = _find_errors(submissions, types, queues=queues)
        if is_atomic and any(errors):
            raise Refused(_with_refused_queues(tenant_id, submissions, types, errors, max_queues=max_queues))
        plans = [
            plan_job(tenant_id, submission, types[submission.type], blobs)
            for submission, blobs, wrong in zip(submissions, sealed, errors, strict=True)
            if not wrong
        ]
        room = Room(queues, max_queues, limits)
        stored = iter(store_jobs(tenant_id, plans, room, is_atomic=is_atomic))
        crash_point("accept.before_commit")
    return [wrong[0] if wrong else next(stored) for wrong in errors]


def find_errors(
    tenant_id: UUID,
    submissions: Sequence[Submission],
    *,
    queues: Collection[str] | None = None,
    max_queues: int | None = DEFAULT_QUOTAS["queues"],
) -> list[list[JobserviceError]]:
    """Per submission all that would refuse it, storing nothing: for a group that is refused anyway."""
    with tenant_tx(tenant_id):
        types = resolve_types(tenant_id, {submission.type for submission in submissions})
        errors = _find_errors(submissions, types, queues=queues)
        return _with_refused_queues(tenant_id, submissions, types, errors, max_queues=max_queues)


def _find_errors(
    submissions: Sequence[Submission], types: Mapping[str, ResolvedType], *, queues: Collection[str] | None
) -> list[list[JobserviceError]]:
    # In the transaction that reads the types; nothing is locked yet, and the checks are bounded together.
    time = CheckTime()
    return [
        list(_errors_of(submission, types.get(submission.type), queues=queues, time=time)) for submission in submissions
    ]


def _errors_of(
    submission: Submission, job_type: ResolvedType | None, *, queues: Collection[str] | None, time: CheckTime
) -> Iterator[JobserviceError]:
    if job_type is None:
        yield UnknownJobType(f"There is no job type {submission.type!r}.")
        return
    queue = find_options(submission, job_type)["queue"]
    if queues is not None and queue not in queues:
        yield Forbidden(f"The API key may not submit jobs to the queue {queue}.")
    if refusal := check_payload(job_type, submission.payload_value, text=submission.payload, time=time):
        yield refusal


def _with_refused_queues(
    tenant_id: UUID,
    submissions: Sequence[Submission],
    types: Mapping[str, ResolvedType],
    errors: Sequence[list[JobserviceError]],
    *,
    max_queues: int | None,
) -> list[list[JobserviceError]]:
    """The errors, and of each job whose queue would be one too many that one as well, so that one answer names all."""
    named = [
        # A job whose queue is out of the key's reach, or cannot be known, makes none.
        None
        if submission.type not in types or any(isinstance(error, Forbidden) for error in wrong)
        else find_options(submission, types[submission.type])["queue"]
        for submission, wrong in zip(submissions, errors, strict=True)
    ]
    refused = find_refused(tenant_id, [name for name in named if name is not None], max_queues=max_queues)
    return [[*wrong, refused[name]] if name in refused else wrong for name, wrong in zip(named, errors, strict=True)]
