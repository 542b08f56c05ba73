"""Accept: checked submissions become stored jobs in one transaction. Committed means promised.

1. Seal payload, metadata and callback address, before the first INSERT.
2. Resolve the job types and their defaults; check each payload against its type's schema.
3. Share the lanes' locks; insert the jobs, their live rows, their sealed values and their tags; wake lanes that sleep.
The broker has no part in this; the dispatcher is woken after the commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.errors import Forbidden, JobserviceError, UnknownJobType
from jobservice.ids import new_id
from jobservice.jobs.job_types import ResolvedType, resolve_types
from jobservice.jobs.lanes import make_lanes, wake_lanes
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.options import merge_retry
from jobservice.jobs.payload_schema import CheckTime, check_payload
from jobservice.jobs.representation import represent_job
from jobservice.jobs.states import PRIORITY_STEP_SECONDS
from jobservice.jobs.submission import Submission
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.blobs import SealedBlob, is_outdated, seal_blob
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"

DEFAULTS: Mapping[str, Any] = {
    "queue": "default",
    "priority": 0,
    "timeout_seconds": 60,
    "max_attempts": 20,
    "retry": {},
}


@dataclass(frozen=True, slots=True)
class _PlannedJob:
    """A job that may be stored: who does it, its options, and its sealed values by kind."""

    id: UUID
    submission: Submission
    type: ResolvedType
    options: Mapping[str, Any]
    blobs: Mapping[str, SealedBlob] = field(repr=False)


class Refused(JobserviceError):
    """Jobs of an atomic group were refused, so none was stored. `errors` has an entry per job, None where right."""

    def __init__(self, errors: Sequence[JobserviceError | None]) -> None:
        super().__init__("Some of the jobs were refused; none was stored.")
        self.errors = errors


def accept_job(tenant_id: UUID, submission: Submission, *, queues: Collection[str] | None = None) -> dict[str, Any]:
    """Store the job and answer it as the API shows it; `queues` are those the caller may submit to, None for all.

    Raises `UnknownJobType` and `Forbidden`.
    """
    (answer,) = accept_jobs(tenant_id, [submission], queues=queues, is_atomic=False)
    if isinstance(answer, JobserviceError):
        raise answer
    return answer


def accept_jobs(
    tenant_id: UUID, submissions: Sequence[Submission], *, queues: Collection[str] | None = None, is_atomic: bool
) -> list[dict[str, Any] | JobserviceError]:
    """Store the jobs in one transaction; per job its answer as the API shows it, or why it was refused.

    Raises `Refused` when any is refused and the group is atomic.
    """
    sealed = [_seal(tenant_id, submission) for submission in submissions]
    with tenant_tx(tenant_id):
        time = CheckTime()
        types = resolve_types(tenant_id, {submission.type for submission in submissions})
        plans = [
            _plan(submission, types.get(submission.type), blobs, queues=queues, time=time)
            for submission, blobs in zip(submissions, sealed, strict=True)
        ]
        if is_atomic and any(isinstance(plan, JobserviceError) for plan in plans):
            raise Refused([plan if isinstance(plan, JobserviceError) else None for plan in plans])
        stored = iter(_store(tenant_id, [plan for plan in plans if isinstance(plan, _PlannedJob)]))
    return [plan if isinstance(plan, JobserviceError) else next(stored) for plan in plans]


def _seal(tenant_id: UUID, submission: Submission) -> dict[str, SealedBlob]:
    values = {"payload": submission.payload, "metadata": submission.metadata}
    if submission.callback_url is not None:
        values["callback_url"] = submission.callback_url.encode()
    return {
        kind: seal_blob(tenant_id, kind=kind, plaintext=value) for kind, value in values.items() if value is not None
    }


def _seal_again_if_outdated(tenant_id: UUID, plan: _PlannedJob) -> _PlannedJob:
    """The transaction may have begun late, and the tenant's key been rotated since the values were sealed."""
    if not any(is_outdated(blob) for blob in plan.blobs.values()):
        return plan
    return replace(plan, blobs=_seal(tenant_id, plan.submission))


def _plan(
    submission: Submission,
    job_type: ResolvedType | None,
    blobs: Mapping[str, SealedBlob],
    *,
    queues: Collection[str] | None,
    time: CheckTime,
) -> _PlannedJob | JobserviceError:
    if job_type is None:
        return UnknownJobType(f"There is no job type {submission.type!r}.")
    options = _options(submission, job_type)
    if queues is not None and options["queue"] not in queues:
        return Forbidden(f"The API key may not submit jobs to the queue {options['queue']}.")
    # In the transaction, because the types were read in it; nothing is locked yet, and the check is bounded.
    refusal = check_payload(job_type, submission.payload, time=time)
    return refusal or _PlannedJob(new_id(), submission, job_type, options, blobs)


def _options(submission: Submission, job_type: ResolvedType) -> dict[str, Any]:
    """The caller's word, else the type's, else the service's; of `retry`, word by word."""
    options: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        given = getattr(submission, name)
        options[name] = given if given is not None else job_type.defaults.get(name, default)
    if submission.retry is not None:
        options["retry"] = merge_retry(job_type.defaults.get("retry", {}), submission.retry)
    return options


def _tell_accepted(tenant_id: UUID, plans: Sequence[_PlannedJob]) -> None:
    for plan in plans:
        log_event("job_accepted", tenant_id=tenant_id, job_id=plan.id, executor=plan.type.executor)


def _store(tenant_id: UUID, plans: Sequence[_PlannedJob]) -> list[dict[str, Any]]:
    if not plans:
        return []
    parameters = _parameters(tenant_id, [_seal_again_if_outdated(tenant_id, plan) for plan in plans])
    rows = run_statement(_SQL / "insert_jobs.sql", parameters)
    if not rows:
        make_lanes(tenant_id, {(plan.options["queue"], plan.type.pool) for plan in plans})
        rows = run_statement(_SQL / "insert_jobs.sql", parameters)
    wake_lanes({row.lane_id for row in rows if not row.lane_is_active})
    # On commit, so that the dispatcher finds the jobs when it looks.
    transaction.on_commit(wake_dispatcher)
    transaction.on_commit(partial(_tell_accepted, tenant_id, plans))
    return [represent_job(_facts(plan, row)) for plan, row in zip(plans, rows, strict=True)]


def _parameters(tenant_id: UUID, plans: Sequence[_PlannedJob]) -> dict[str, Any]:
    blobs = [blob for plan in plans for blob in plan.blobs.values()]
    return {
        "tenant": tenant_id,
        "jobs": json.dumps([_columns(place, plan) for place, plan in enumerate(plans)], default=str),
        "blob_ids": [blob.id for blob in blobs],
        "blob_kinds": [blob.kind for blob in blobs],
        "blob_values": [blob.sealed for blob in blobs],
    }


def _columns(place: int, plan: _PlannedJob) -> dict[str, Any]:
    submission, job_type = plan.submission, plan.type
    return {
        **plan.options,
        "place": place,
        "id": plan.id,
        "type": job_type.name,
        "executor": job_type.executor,
        "handler": job_type.handler,
        "pool": job_type.pool,
        "priority_seconds": plan.options["priority"] * PRIORITY_STEP_SECONDS,
        "tags": submission.tags,
        "run_at": submission.run_at,
        "delay_seconds": submission.delay_seconds or 0,
        "traceparent": submission.traceparent,
        "payload_bytes": len(submission.payload),
        **{f"{kind}_id": blob.id for kind, blob in plan.blobs.items()},
    }


def _facts(plan: _PlannedJob, row: Any) -> Any:
    """A job just accepted: what was asked, and what the database decided. Nothing has happened to it yet."""
    return SimpleNamespace(
        id=plan.id,
        type=plan.type.name,
        executor=plan.type.executor,
        **{name: plan.options[name] for name in ("queue", "priority", "max_attempts")},
        tags=plan.submission.tags,
        state=row.state,
        run_at=row.run_at,
        created_at=row.created_at,
        available_at=row.available_at,
        attempt=0,
        crash_count=0,
        unique_hash=None,
        concurrency_hash=None,
        dispatched_at=None,
        first_started_at=None,
        last_started_at=None,
        finished_at=None,
        error_code=None,
        cancel_requested=False,
    )
