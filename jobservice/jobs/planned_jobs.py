"""A job as it is planned before it is stored: who does it, its options, its sealed values, what the database gets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from jobservice.ids import new_id
from jobservice.jobs.limits import hash_concurrency_key
from jobservice.jobs.options import merge_retry
from jobservice.jobs.representation import represent_job
from jobservice.jobs.states import PRIORITY_STEP_SECONDS
from jobservice.jobs.submission import Origin, Submission
from jobservice.jobs.type_resolution import ResolvedType
from jobservice.jobs.unique_option import UniqueOption, hash_unique
from jobservice.jobs.unique_wishes import Wish
from tenants.blobs import SealedBlob, is_outdated, seal_blob
from tenants.data_keys import tenant_keys

DEFAULTS: Mapping[str, Any] = {
    "queue": "default",
    "priority": 0,
    "timeout_seconds": 60,
    "max_attempts": 20,
    "retry": {},
}


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job that may be stored: who does it, its options, and its sealed values by kind."""

    id: UUID
    submission: Submission
    type: ResolvedType
    options: Mapping[str, Any]
    blobs: Mapping[str, SealedBlob] = field(repr=False)
    concurrency_hash: bytes | None = field(repr=False)
    wish: Wish | None = None

    @property
    def stored_bytes(self) -> int:
        return sum(len(blob.sealed) for blob in self.blobs.values())


def seal_submission(tenant_id: UUID, submission: Submission) -> dict[str, SealedBlob]:
    """The sealed values of a job by their kinds; of what is not given, none."""
    values = {"payload": submission.payload, "metadata": submission.metadata}
    if submission.callback_url is not None:
        values["callback_url"] = submission.callback_url.encode()
    return {
        kind: seal_blob(tenant_id, kind=kind, plaintext=value) for kind, value in values.items() if value is not None
    }


def seal_again_if_outdated(tenant_id: UUID, plan: PlannedJob) -> PlannedJob:
    """The transaction may have begun late, and the tenant's key been rotated since the values were sealed."""
    if not any(is_outdated(blob) for blob in plan.blobs.values()):
        return plan
    return replace(plan, blobs=seal_submission(tenant_id, plan.submission))


def plan_job(
    tenant_id: UUID, submission: Submission, job_type: ResolvedType, blobs: Mapping[str, SealedBlob]
) -> PlannedJob:
    """The job of this submission under an id of its own."""
    origin = submission.made_from
    hashed = origin.concurrency_hash if origin else hash_concurrency_key(tenant_id, submission.concurrency_key)
    plan = PlannedJob(new_id(), submission, job_type, find_options(submission, job_type), blobs, hashed)
    if origin is not None:
        return replace(plan, wish=_inherited_wish(plan, origin))
    return plan if submission.unique is None else replace(plan, wish=_wish(tenant_id, plan, submission.unique))


def _inherited_wish(plan: PlannedJob, origin: Origin) -> Wish | None:
    """The same key, whatever was changed in the payload: the job stands for the one that it is made from."""
    if origin.unique_hash is None:
        return None
    return Wish(plan.id, origin.unique_hash, UniqueOption(held_while=origin.unique_while, on_conflict="reject"))


def _wish(tenant_id: UUID, plan: PlannedJob, unique: UniqueOption) -> Wish:
    options = {**plan.options, "type": plan.type.name, "tags": plan.submission.tags}
    return Wish(plan.id, hash_unique(tenant_keys(tenant_id).index, unique, options), unique)


def find_options(submission: Submission, job_type: ResolvedType) -> dict[str, Any]:
    """The caller's word, else the type's, else the service's; of `retry`, word by word, but all of another job's."""
    options: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        given = getattr(submission, name)
        options[name] = given if given is not None else job_type.defaults.get(name, default)
    if submission.retry is not None and submission.made_from is None:
        options["retry"] = merge_retry(job_type.defaults.get("retry", {}), submission.retry)
    return options


def insertion_of(tenant_id: UUID, plans: Sequence[PlannedJob], *, takes_key: bool = False) -> dict[str, Any]:
    """What `insert_jobs.sql` takes; with `takes_key`, of one job, the statement takes its unique key too."""
    blobs = [blob for plan in plans for blob in plan.blobs.values()]
    return {
        "tenant": tenant_id,
        "jobs": json.dumps([_columns(place, plan) for place, plan in enumerate(plans)], default=str),
        "blob_ids": [blob.id for blob in blobs],
        "blob_kinds": [blob.kind for blob in blobs],
        "blob_values": [blob.sealed for blob in blobs],
        "takes_key": takes_key,
    }


def _columns(place: int, plan: PlannedJob) -> dict[str, Any]:
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
        "start_deadline_seconds": submission.start_deadline_seconds,
        "on_crash": job_type.on_crash,
        "traceparent": submission.traceparent,
        "retry_of": None if submission.made_from is None else submission.made_from.job_id,
        "payload_bytes": len(submission.payload),
        "concurrency_hash": _show_bytes(plan.concurrency_hash),
        **{f"{kind}_id": blob.id for kind, blob in plan.blobs.items()},
        **({} if plan.wish is None else _unique_columns(plan.wish)),
    }


def _unique_columns(wish: Wish) -> dict[str, Any]:
    return {
        "unique_hash": _show_bytes(wish.hash),
        "unique_while": wish.option.held_while,
        "unique_period_seconds": wish.option.period_seconds,
    }


def _show_bytes(value: bytes | None) -> str | None:
    return None if value is None else f"\\x{value.hex()}"


def show_accepted(plan: PlannedJob, row: Any) -> dict[str, Any]:
    """A job just accepted, as the API shows it: what was asked, and what the database decided in `insert_jobs.sql`.

    Nothing has happened to it yet.
    """
    facts: Any = SimpleNamespace(
        id=plan.id,
        type=plan.type.name,
        executor=plan.type.executor,
        **{name: plan.options[name] for name in ("queue", "priority", "max_attempts")},
        tags=plan.submission.tags,
        retry_of=None if plan.submission.made_from is None else plan.submission.made_from.job_id,
        state=row.state,
        run_at=row.run_at,
        created_at=row.created_at,
        available_at=row.available_at,
        attempt=0,
        crash_count=0,
        unique_hash=None if plan.wish is None else plan.wish.hash,
        concurrency_hash=plan.concurrency_hash,
        dispatched_at=None,
        first_started_at=None,
        last_started_at=None,
        finished_at=None,
        error_code=None,
        cancel_requested=False,
        progress_percent=None,
    )
    return represent_job(facts)
