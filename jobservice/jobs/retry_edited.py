"""Retry with an edited payload: a new job in the place of one that is over, linked to it. The old one stays.

1. Claim the key of the request: sent again, it is answered with the job that it made.
2. Lock the row of the job that is over: nobody erases it or makes it run again meanwhile.
3. Open what it was submitted with besides its payload, and submit it anew by the ordinary path, which seals it again.
4. Keep the answer; write down who did it, and the new job.
What goes over: type, queue, priority, tags, metadata, callback address, time limit, attempts, retry policy, the time
to start within, the concurrency key and the unique key, as they are now: retries of the old one raise its attempts,
and lift its deadline to start. The new one is due at once, and its type's settings are those of now. Of the unique
key only the hash is known: it is the old one's, whatever the payload; held by another job, or for a period by the old
one, it refuses the new one. Neither that period nor the trace of the first request goes over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from jobservice.errors import NotFound
from jobservice.ids import JOB, show_id
from jobservice.jobs.accept import accept_job
from jobservice.jobs.erase import JobNotTerminal
from jobservice.jobs.idempotency import KeptAnswer, claim_key, keep_answer
from jobservice.jobs.job_search import CLOCK_SLACK, read_job
from jobservice.jobs.models import Job
from jobservice.jobs.options import MAX_ATTEMPTS
from jobservice.jobs.sealed_reads import find_blobs, open_part
from jobservice.jobs.submission import HORIZON_SECONDS, Origin, Submission, SubmissionLimits, check_payload_of
from jobservice.jobs.unique_option import UNFINISHED, HeldWhile
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import tenant_keys
from tenants.models import Blob
from tenants.quotas import DEFAULTS, Quotas, limit_of, payload_bytes_limit, volume_limits

_SQL = Path(__file__).resolve().parent / "sql"
_OPERATION = "retry-edited"


def retry_edited(
    tenant_id: UUID,
    job_id: UUID,
    payload: object,
    *,
    key: str,
    queues: Collection[str] | None = None,
    quotas: Quotas = DEFAULTS,
) -> str:
    """Submit the job again with this payload, a parsed JSON value; the new job's id as people see it.

    `key` is the request's idempotency key, `queues` those that the caller may submit to, None for all. Raises
    `NotFound`, `JobNotTerminal`, `IdempotencyKeyInUse`, `IdempotencyKeyReused`, `Unreadable`, and all by which a
    submission is refused.
    """
    tenant_keys(tenant_id)  # loaded before the transaction that opens and seals
    with tenant_tx(tenant_id):
        claimed = claim_key(tenant_id, key, operation=f"{_OPERATION} {job_id}", body=payload)
        if claimed.answer is not None:
            return claimed.answer.body.decode()
        old = _lock_ended(tenant_id, job_id)
        made = accept_job(
            tenant_id,
            _submission_of(tenant_id, old, payload, limits=SubmissionLimits(payload_bytes_limit(quotas))),
            queues=queues,
            max_queues=limit_of(quotas, "queues"),
            limits=volume_limits(quotas),
        )
        keep_answer(claimed, KeptAnswer(201, {}, made["id"].encode()))
        note_act(tenant_id, "job.followed", show_id(JOB, job_id), after={"follower": made["id"]})
    return str(made["id"])


def list_followers(tenant_id: UUID, job_id: UUID, *, limit: int) -> list[str]:
    """The ids of the jobs that were made from this one, the newest first."""
    made_at = datetime.fromtimestamp((job_id.int >> 80) / 1000, UTC)
    parameters = {"tenant": tenant_id, "job": job_id, "not_before": made_at - CLOCK_SLACK, "limit": limit}
    with tenant_tx(tenant_id):
        return [show_id(JOB, row.id) for row in run_statement(_SQL / "find_followers.sql", parameters)]


def _lock_ended(tenant_id: UUID, job_id: UUID) -> Job:
    if run_statement(_SQL / "lock_ended_job.sql", {"tenant": tenant_id, "job": job_id}):
        # A second statement sees the row as it was locked.
        return Job.objects.get(tenant_id=tenant_id, id=job_id)
    if read_job(tenant_id, job_id) is None:
        raise NotFound("There is no job of this id.")
    raise JobNotTerminal("The job is not over; cancel it first, or it would run with both payloads.")


def _submission_of(tenant_id: UUID, old: Job, payload: object, *, limits: SubmissionLimits) -> Submission:
    blobs = find_blobs(tenant_id, [old.metadata_id, old.callback_id])
    callback = _open(tenant_id, old.callback_id, kind="callback_url", blobs=blobs)
    return Submission(
        type=old.type,
        payload=check_payload_of(old.type, payload, limits=limits),
        payload_value=payload,
        queue=old.queue,
        priority=old.priority,
        start_deadline_seconds=_start_within(old),
        timeout_seconds=old.timeout_seconds,
        # A retry of a job raises them, beyond what a submission may ask for.
        max_attempts=min(old.max_attempts, MAX_ATTEMPTS),
        retry=old.retry,
        tags=old.tags,
        callback_url=None if callback is None else callback.decode(),
        metadata=_open(tenant_id, old.metadata_id, kind="metadata", blobs=blobs),
        made_from=Origin(
            old.id,
            concurrency_hash=_hash(old.concurrency_hash),
            unique_hash=_hash(old.unique_hash),
            unique_while=cast(HeldWhile, old.unique_while or UNFINISHED),
        ),
    )


def _open(tenant_id: UUID, blob_id: UUID | None, *, kind: str, blobs: Mapping[UUID, Blob]) -> bytes | None:
    return None if blob_id is None else open_part(tenant_id, blob_id, kind=kind, blobs=blobs)


def _start_within(old: Job) -> int | None:
    """How many seconds after it was due the job had to start; None when it had for ever, or was moved beyond it."""
    if old.start_deadline_at is None:
        return None
    seconds = round((old.start_deadline_at - old.run_at).total_seconds())
    return seconds if 1 <= seconds <= HORIZON_SECONDS else None


def _hash(stored: Any) -> bytes | None:
    return None if stored is None else bytes(stored)
