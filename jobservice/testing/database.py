"""Jobs in a test database: submitted, looked for, moved in time, and run, through the verbs of the service itself.

Everything happens on the test's own connection and thread, so it is gone when the test rolls back.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from unittest.mock import patch
from uuid import UUID

from django.db import transaction
from django.db.models import F

from jobservice import ids
from jobservice.crypto.message_mac import Ref
from jobservice.jobs import notifier
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs, stage_due_jobs
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.models import Job, Lane, LiveJob, UniqueClaim
from jobservice.jobs.outcomes import StartedJob, make_outcome
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.reports import ReportingRun
from jobservice.jobs.selectors import find_job
from jobservice.jobs.submission import SubmissionLimits, parse_submission
from tenants.blobs import open_blob
from tenants.context import tenant_tx
from tenants.data_keys import forget_opened_keys
from tenants.installation_keys import ensure_installation_keys, forget_installation_keys
from tenants.models import Blob, Installation
from tenants.root_keys import root_keyring
from tenants.tenancy import create_tenant
from workers.executor import judge_job, timed_out
from workers.reporter import RunReports

POOL = "handlers"
CLAIM_LIMIT = 100
_LEASE_SECONDS = 3600.0
_NO_PAYLOAD = object()
_numbers = itertools.count(1)


class HasId(Protocol):
    """A tenant as some test names it."""

    @property
    def id(self) -> UUID: ...


AnyTenant = UUID | HasId


@dataclass(frozen=True, slots=True)
class TrialTenant:
    """A tenant made for a test, with an API key of all scopes."""

    id: UUID
    name: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """A job of the test database, its payload opened."""

    id: str
    type: str
    queue: str
    priority: int
    state: str
    run_at: datetime
    tags: Mapping[str, str]
    payload: Any


def make_tenant(name: str | None = None) -> TrialTenant:
    """A new tenant, made as the operator makes one."""
    # The first start of a service notes which root key it has, and makes its audit key.
    Installation.objects.get_or_create(id=1, defaults={"root_key_fingerprint": root_keyring().fingerprint()})
    ensure_installation_keys()
    made = create_tenant(name or f"trial-{next(_numbers)}")
    return TrialTenant(made.tenant_id, made.name, made.api_key)


def submit_job(tenant: AnyTenant, type: str, payload: Any = None, **options: Any) -> dict[str, Any]:  # noqa: A002
    """Submit a job as `POST /v1/jobs` does, and answer what it answers. `options` are the other fields of the body.

    Raises what a wrong submission raises: `Invalid`, `UnknownJobType`, `PayloadTooLarge`.
    """
    submission = parse_submission({"type": type, "payload": payload, **options}, limits=SubmissionLimits())
    return accept_job(_id(tenant), submission)


def submitted_jobs(
    tenant: AnyTenant,
    *,
    type: str | None = None,  # noqa: A002 (the field's name)
    queue: str | None = None,
) -> list[SubmittedJob]:
    """The tenant's jobs in the order in which they were submitted, whoever did and whatever became of them."""
    tenant_id = _id(tenant)
    given = {name: value for name, value in (("type", type), ("queue", queue)) if value is not None}
    with tenant_tx(tenant_id):
        rows = list(Job.objects.filter(tenant_id=tenant_id, **given).order_by("id"))
    return [_show(row) for row in rows]


def assert_submitted(
    tenant: AnyTenant,
    *,
    type: str,  # noqa: A002 (the field's name)
    payload: Any = _NO_PAYLOAD,
    queue: str | None = None,
    tags: Mapping[str, str] | None = None,
    count: int | None = None,
) -> list[SubmittedJob]:
    """Fail unless such a job was submitted, `count` of them when it is given; the jobs that were.

    Of a payload that is an object, and of tags, only the members that you name are compared.
    """
    jobs = submitted_jobs(tenant)
    found = [job for job in jobs if job.type == type and _fits(job, payload, queue, tags)]
    wanted = "at least one" if count is None else str(count)
    if (count is None and not found) or (count is not None and len(found) != count):
        shown = "\n".join(f"  {job.type} on {job.queue}: {json.dumps(job.payload)}" for job in jobs) or "  nothing"
        raise AssertionError(f"Expected {wanted} submitted {type}, found {len(found)}. Submitted was:\n{shown}")
    return found


def refute_submitted(tenant: AnyTenant, *, type: str, **wanted: Any) -> None:  # noqa: A002 (the field's name)
    """Fail when such a job was submitted; the words are those of `assert_submitted`."""
    assert_submitted(tenant, type=type, **wanted, count=0)


def drain_queue(tenant: AnyTenant, queue: str = "default", *, limit: int = 1000) -> dict[str, int]:
    """Run the due handler jobs of a queue one after another, those they submit too, until none is due.

    Answers how many runs left their job in which state, such as `{"completed": 3, "retryable": 1}`. Claimed, started
    and recorded as by a worker, but in this process: a handler that crashes takes the test with it, and a run that is
    too long is not cut short, only judged so. Fails when jobs are still due after `limit` runs.
    """
    tenant_id, worker_id, states = _id(tenant), ids.new_id(), Counter[str]()
    while refs := _claim(tenant_id, queue):
        for ref in refs:
            if states.total() >= limit:
                raise AssertionError(f"Jobs of {queue} are still due after {limit} runs: {dict(states)}.")
            for job in start_jobs([ref], worker_id=worker_id, group_id=ids.new_id(), lease_seconds=_LEASE_SECONDS):
                _run(job, worker_id)
                found = find_job(tenant_id, job.job_id)
                states[found.job["state"] if found else "erased"] += 1
    return dict(states)


def advance(*, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
    """Let that much time go by for all jobs that wait: what is scheduled, snoozed or in backoff comes nearer, as does
    the end of the periods of unique keys.

    The clock of the database stays what it is; the moments that jobs wait for move.
    """
    passed = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
    LiveJob.objects.filter(state__in=("scheduled", "retryable")).update(due_at=F("due_at") - passed)
    UniqueClaim.objects.filter(expires_at__isnull=False).update(expires_at=F("expires_at") - passed)
    LiveJob.objects.filter(start_deadline_at__isnull=False, first_started_at__isnull=True).update(
        start_deadline_at=F("start_deadline_at") - passed
    )


@contextmanager
def quiet_process() -> Iterator[None]:
    """Nobody is told of new jobs, for the notifier's connection would outlive the database; no opened key is kept."""
    with patch.object(notifier, "_wake", lambda _channel: None):
        yield
    forget_opened_keys()
    forget_installation_keys()


def _id(tenant: AnyTenant) -> UUID:
    return tenant if isinstance(tenant, UUID) else tenant.id


def _show(row: Job) -> SubmittedJob:
    found = find_job(row.tenant_id, row.id)
    assert found is not None  # noqa: S101 (its row was just read; for the type checker)
    with tenant_tx(row.tenant_id):
        sealed = bytes(Blob.objects.get(tenant_id=row.tenant_id, id=row.payload_id).sealed)
    payload = open_blob(row.tenant_id, kind="payload", blob_id=row.payload_id, sealed=sealed)
    return SubmittedJob(
        id=ids.show_id(ids.JOB, row.id),
        type=row.type,
        queue=row.queue,
        priority=found.job["priority"],
        state=found.job["state"],
        run_at=row.run_at,
        tags=row.tags,
        payload=json.loads(payload),
    )


def _fits(job: SubmittedJob, payload: Any, queue: str | None, tags: Mapping[str, str] | None) -> bool:
    is_payload = payload is _NO_PAYLOAD or _includes(job.payload, payload)
    return is_payload and queue in (None, job.queue) and _includes(dict(job.tags), dict(tags or {}))


def _includes(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _includes(whole[name], value) for name, value in part.items())
    return bool(whole == part)


def _claim(tenant_id: UUID, queue: str) -> list[Ref]:
    """As the dispatcher claims, with no other lane awake."""
    expire_jobs()
    stage_due_jobs()
    with transaction.atomic():
        awake = Lane.objects.filter(pool=POOL, is_active=True).exclude(tenant_id=tenant_id, queue=queue)
        others = list(awake.values_list("id", flat=True))
        Lane.objects.filter(id__in=others).update(is_active=False)
        claims = claim_jobs(POOL, limit=CLAIM_LIMIT, lease_seconds=_LEASE_SECONDS)
        Lane.objects.filter(id__in=others).update(is_active=True)
    return [claim.ref for claim in claims]


def _run(job: StartedJob, worker_id: UUID) -> None:
    """What an executor does with a started job, without its threads."""
    reports = RunReports(ReportingRun(job.tenant_id, job.job_id, job.epoch, worker_id), lambda _: None)
    began = time.monotonic()
    verdict = judge_job(job, is_cancelled=lambda: _is_cancelled(job), reports=reports)
    reports.end()
    seconds = time.monotonic() - began
    if seconds >= job.timeout_seconds:
        verdict = timed_out(job)
    reports.write()
    outcome = make_outcome(job, verdict, worker_id=worker_id, started_at=job.started_at, duration_seconds=seconds)
    record_outcomes([outcome])


def _is_cancelled(job: StartedJob) -> bool:
    return LiveJob.objects.filter(job_id=job.job_id, epoch=job.epoch, cancel_requested=True).exists()
