"""The http executor: a job as one signed POST to its type's endpoint, or as the ad-hoc call of `http.request`.

`prepare_http_jobs` reads the database and opens what is sealed, in a worker thread; `run_http_job` only sends, on the
event loop. What the answer means is in `verdicts.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from jobservice import ids
from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.errors import Invalid, SealingError
from jobservice.jobs.http_request import TYPE_NAME, HttpRequest, parse_http_request
from jobservice.jobs.job_type_spec import HttpTarget
from jobservice.jobs.job_types import http_target
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, Outcome, StartedJob
from jobservice.webhooks.event_body import join_object, show_instant, to_json
from jobservice.webhooks.signing import signed_headers
from tenants.blobs import open_blob
from tenants.context import tenants_tx
from tenants.signing_secrets import signing_secrets
from workers.executors.verdicts import Verdict, fail, judge_adhoc, judge_answer, judge_failure


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """A signed POST to the job type's endpoint. `payload` is UTF-8 JSON, `secrets` newest first."""

    target: HttpTarget = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpRun:
    """A started job with the call it makes, or the verdict it has without one. `began` is on the monotonic clock."""

    job: StartedJob
    worker_id: UUID
    began: float
    call: EndpointCall | HttpRequest | Verdict


@dataclass(frozen=True, slots=True)
class _Endpoint:
    target: HttpTarget | None
    secrets: tuple[str, ...] = field(repr=False)


def prepare_http_jobs(jobs: Sequence[StartedJob], *, worker_id: UUID, began: float) -> list[HttpRun]:
    """Open what the calls of a started group need. A job that cannot be called for gets its verdict here."""
    endpoints = _find_endpoints(jobs)
    return [HttpRun(job, worker_id, began, _prepare_call(job, endpoints)) for job in jobs]


async def run_http_job(run: HttpRun, client: EgressClient) -> Outcome:
    """Make the call and judge the answer. The whole call ends within the job's timeout."""
    match run.call:
        case EndpointCall() as call:
            verdict = await _call_endpoint(run.job, call, client)
        case HttpRequest() as request:
            verdict = await _call_adhoc(run.job, request, client)
        case verdict:
            pass
    return make_outcome(run, verdict)


def make_outcome(run: HttpRun, verdict: Verdict) -> Outcome:
    """The outcome of a run that has just ended."""
    return Outcome(
        job=run.job,
        kind=verdict.kind,
        worker_id=run.worker_id,
        started_at=run.job.started_at,
        duration_seconds=time.monotonic() - run.began,
        result=verdict.result,
        error_code=verdict.error_code,
        error_message=verdict.error_message,
        is_permanent=verdict.is_permanent,
        retry_after_seconds=verdict.retry_after_seconds,
    )


async def _call_endpoint(job: StartedJob, call: EndpointCall, client: EgressClient) -> Verdict:
    try:
        answer = await client.send(endpoint_request(job, call, now=datetime.now(UTC)))
    except EgressFailed as failure:
        return judge_failure(failure)
    return judge_answer(answer, now=datetime.now(UTC))


async def _call_adhoc(job: StartedJob, request: HttpRequest, client: EgressClient) -> Verdict:
    try:
        answer = await client.send(adhoc_request(job, request))
    except EgressFailed as failure:
        return judge_failure(failure)
    return judge_adhoc(answer, is_expected=request.expects(answer.status), now=datetime.now(UTC))


def endpoint_request(job: StartedJob, call: EndpointCall, *, now: datetime) -> EgressRequest:
    """The POST that asks the endpoint to run the job: api.md's `job.run`, signed by Standard Webhooks."""
    deadline = show_instant(now + timedelta(seconds=job.timeout_seconds))
    shown_id = ids.show_id(ids.JOB, job.job_id)
    body = _job_run_body(job, call.payload, now=now, deadline=deadline)
    own = {
        "Content-Type": "application/json",
        "Idempotency-Key": shown_id,
        "Job-Attempt": str(job.attempt),
        "Job-Epoch": str(job.epoch),
        "Job-Deadline": deadline,
        **signed_headers(call.secrets, message_id=shown_id, timestamp=int(now.timestamp()), body=body),
        **({"traceparent": job.traceparent} if job.traceparent else {}),
    }
    return EgressRequest(
        method="POST",
        url=call.target.url,
        headers=_merge_headers(call.target.headers, own),
        body=body,
        timeout_seconds=job.timeout_seconds,
        read_limit_bytes=RESULT_LIMIT_BYTES,
    )


def adhoc_request(job: StartedJob, request: HttpRequest) -> EgressRequest:
    """The call of an `http.request`: the tenant's own headers win over ours, and nothing is signed."""
    own = {"Idempotency-Key": ids.show_id(ids.JOB, job.job_id)}
    if job.traceparent:
        own["traceparent"] = job.traceparent
    if request.content_type is not None:
        own["Content-Type"] = request.content_type
    return EgressRequest(
        method=request.method,
        url=request.url,
        headers=_merge_headers(own, request.headers),
        body=request.body,
        timeout_seconds=job.timeout_seconds,
        read_limit_bytes=RESULT_LIMIT_BYTES,
    )


def _job_run_body(job: StartedJob, payload: bytes, *, now: datetime, deadline: str) -> bytes:
    data = {
        "job": to_json(_describe(job)),
        "payload": payload,
        "attempt": to_json(job.attempt),
        "epoch": to_json(job.epoch),
        "deadline": to_json(deadline),
    }
    return join_object({"type": to_json("job.run"), "timestamp": to_json(show_instant(now)), "data": join_object(data)})


def _describe(job: StartedJob) -> dict[str, object]:
    """The job as far as a started one knows itself, in the API's words."""
    return {
        "id": ids.show_id(ids.JOB, job.job_id),
        "type": job.type,
        "executor": job.executor,
        "queue": job.queue,
        "state": "executing",
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "crash_count": job.crash_count,
        "tags": job.tags,
        "run_at": show_instant(job.run_at),
        "created_at": show_instant(job.created_at),
    }


def _merge_headers(base: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Both, without those of `base` that `over` gives in whatever case."""
    given = {name.lower() for name in over}
    return {**{name: value for name, value in base.items() if name.lower() not in given}, **over}


def _find_endpoints(jobs: Sequence[StartedJob]) -> dict[tuple[UUID, str], _Endpoint | Verdict]:
    """The endpoint and the signing secrets of each job type in the group."""
    wanted = {(job.tenant_id, job.type) for job in jobs if job.type != TYPE_NAME}
    return {(tenant_id, name): _find_endpoint(tenant_id, name) for tenant_id, name in wanted}


def _find_endpoint(tenant_id: UUID, name: str) -> _Endpoint | Verdict:
    try:
        # Each in a transaction of its own: a nested one would leave its tenants set in the outer.
        target = http_target(tenant_id, name)
        with tenants_tx([tenant_id]):
            return _Endpoint(target, tuple(signing_secrets(tenant_id)))
    except SealingError as error:
        return _unreadable(error)


def _prepare_call(
    job: StartedJob, endpoints: Mapping[tuple[UUID, str], _Endpoint | Verdict]
) -> EndpointCall | HttpRequest | Verdict:
    try:
        payload = open_blob(job.tenant_id, kind="payload", blob_id=job.payload_id, sealed=job.sealed_payload)
    except SealingError as error:
        return _unreadable(error)
    if job.type == TYPE_NAME:
        return _prepare_adhoc(payload)
    endpoint = endpoints[job.tenant_id, job.type]
    if isinstance(endpoint, Verdict):
        return endpoint
    if endpoint.target is None:
        return fail("no-endpoint", "The job type has no endpoint any more.")
    return EndpointCall(endpoint.target, endpoint.secrets, payload)


def _prepare_adhoc(payload: bytes) -> HttpRequest | Verdict:
    try:
        return parse_http_request(json.loads(payload))
    except Invalid as invalid:
        sentence = " ".join(f"{fault.pointer}: {fault.detail}" for fault in invalid.faults)
        return fail("invalid-payload", sentence, is_permanent=True)


def _unreadable(error: SealingError) -> Verdict:
    return fail("unreadable", error.detail, is_permanent=True)
