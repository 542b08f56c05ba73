"""The http executor: a job as one signed POST to its type's endpoint, or as the ad-hoc call of `http.request`.

`prepare_http_jobs` reads the database and opens what is sealed, in a worker thread; `run_http_job` only sends, on the
event loop. What the answer means is in `verdicts.py`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings

from jobservice import ids
from jobservice.crash_points import crash_point
from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.errors import Invalid, SealingError
from jobservice.jobs.completion_token import RunRef, make_token
from jobservice.jobs.http_endpoints import HttpEndpoint, http_endpoint
from jobservice.jobs.http_request import TYPE_NAME, HttpRequest, parse_http_request
from jobservice.jobs.job_type_spec import HttpTarget
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, Outcome, StartedJob, Throttle, Verdict, make_outcome
from jobservice.webhooks.event_body import join_object, show_instant, to_json
from jobservice.webhooks.signing import Scheme, signed_headers
from tenants.blobs import open_blob
from tenants.data_keys import are_keys_at_hand
from workers.executors.verdicts import GONE, Later, asked_pause, fail, judge_adhoc, judge_answer, judge_failure

# How long what cannot be opened at the moment is held before it is given back.
AWAY_SECONDS = 1.0
COMPLETIONS_PATH = "/v1/completions/"


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """A POST to the job type's endpoint, signed by `scheme`. `payload` is UTF-8 JSON, `secrets` newest first.

    `complete_url` is where the endpoint may complete the job later; None when nobody could reach us.
    """

    target: HttpTarget = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    payload: bytes = field(repr=False)
    type_version: int = 1
    scheme: Scheme = "v1"
    complete_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """No call is made: the job's type is switched off."""


@dataclass(frozen=True, slots=True)
class Away:
    """No call is made: the keys of the job's tenant are out of reach for the moment."""


@dataclass(frozen=True, slots=True)
class HttpRun:
    """A started job with the call it makes, or why it makes none. `began` is on the monotonic clock."""

    job: StartedJob
    worker_id: UUID
    began: float
    call: EndpointCall | HttpRequest | Verdict | Held | Away


@dataclass(frozen=True, slots=True)
class Gone:
    """A run that ended because its endpoint is gone for good, as the type has it in this version."""

    outcome: Outcome
    type_version: int


@dataclass(frozen=True, slots=True)
class LeftRun:
    """A run that its endpoint will complete, by the deadline it was told; that is on the monotonic clock."""

    job: StartedJob
    worker_id: UUID
    deadline: float


HttpEnd = Outcome | Gone | LeftRun


def prepare_http_jobs(jobs: Sequence[StartedJob], *, worker_id: UUID, began: float) -> list[HttpRun]:
    """Open what the calls of a started group need. A job that cannot be called for gets its verdict here."""
    at_hand = {tenant_id for tenant_id in {job.tenant_id for job in jobs} if are_keys_at_hand(tenant_id)}
    endpoints = _find_endpoints([job for job in jobs if job.tenant_id in at_hand])
    crash_point("http.prepared")
    return [
        HttpRun(job, worker_id, began, _prepare_call(job, endpoints) if job.tenant_id in at_hand else Away())
        for job in jobs
    ]


async def run_http_job(run: HttpRun, client: EgressClient) -> HttpEnd:
    """Make the call and judge the answer. The whole call ends within the job's timeout."""
    crash_point("http.before_send")
    end = await _make_call(run, client)
    crash_point("http.after_response")
    return end


async def _make_call(run: HttpRun, client: EgressClient) -> HttpEnd:
    match run.call:
        case EndpointCall() as call:
            return await _call_endpoint(run, call, client)
        case HttpRequest() as request:
            return end_run(run, await _call_adhoc(run.job, request, client))
        case Verdict() as verdict:
            return end_run(run, verdict)
        case Away():
            # Given back at once, it would come at once again, as long as that lasts.
            await asyncio.sleep(AWAY_SECONDS)
            return end_run(run, Verdict("released"))
        case Held():
            raise ValueError("a held job is not run")


def end_run(run: HttpRun, verdict: Verdict) -> Outcome:
    """The outcome of a run that has just ended."""
    seconds = time.monotonic() - run.began
    return make_outcome(
        run.job, verdict, worker_id=run.worker_id, started_at=run.job.started_at, duration_seconds=seconds
    )


async def _call_endpoint(run: HttpRun, call: EndpointCall, client: EgressClient) -> HttpEnd:
    deadline = time.monotonic() + run.job.timeout_seconds
    try:
        answer = await client.send(endpoint_request(run.job, call, now=datetime.now(UTC)))
    except EgressFailed as failure:
        return end_run(run, judge_failure(failure))
    now = datetime.now(UTC)
    verdict = judge_answer(answer, can_complete_later=call.complete_url is not None, now=now)
    if isinstance(verdict, Later):
        return LeftRun(run.job, run.worker_id, deadline)
    outcome = end_run(run, verdict)
    if pause := asked_pause(answer, verdict, now=now):
        outcome = replace(outcome, throttle=Throttle(pause, call.type_version))
    return Gone(outcome, call.type_version) if answer.status == GONE else outcome


async def _call_adhoc(job: StartedJob, request: HttpRequest, client: EgressClient) -> Verdict:
    try:
        answer = await client.send(adhoc_request(job, request))
    except EgressFailed as failure:
        return judge_failure(failure)
    return judge_adhoc(answer, is_expected=request.expects(answer.status), now=datetime.now(UTC))


def endpoint_request(job: StartedJob, call: EndpointCall, *, now: datetime) -> EgressRequest:
    """The POST that asks the endpoint to run the job: `job.run`, signed by Standard Webhooks."""
    deadline = show_instant(now + timedelta(seconds=job.timeout_seconds))
    shown_id = ids.show_id(ids.JOB, job.job_id)
    body = _job_run_body(job, call.payload, now=now, deadline=deadline)
    own = {
        "Content-Type": "application/json",
        "Idempotency-Key": shown_id,
        "Job-Attempt": str(job.attempt),
        "Job-Epoch": str(job.epoch),
        "Job-Deadline": deadline,
        **({"Job-Complete-Url": call.complete_url} if call.complete_url else {}),
        **signed_headers(
            call.secrets, message_id=shown_id, timestamp=int(now.timestamp()), body=body, scheme=call.scheme
        ),
        **({"traceparent": job.traceparent} if job.traceparent else {}),
    }
    return EgressRequest(
        method="POST",
        url=call.target.url,
        headers=_merge_headers(call.target.headers, own),
        body=body,
        timeout_seconds=job.timeout_seconds,
        read_limit_bytes=RESULT_LIMIT_BYTES,
        tenant=job.tenant_id,
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
        tenant=job.tenant_id,
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


def _find_endpoints(jobs: Sequence[StartedJob]) -> dict[tuple[UUID, str], HttpEndpoint | Verdict]:
    """The endpoint of each job type in the group."""
    wanted = {(job.tenant_id, job.type) for job in jobs if job.type != TYPE_NAME}
    # Each in a transaction of its own: a nested one would leave its tenants set in the outer.
    return {(tenant_id, name): _find_endpoint(tenant_id, name) for tenant_id, name in wanted}


def _find_endpoint(tenant_id: UUID, name: str) -> HttpEndpoint | Verdict:
    try:
        return http_endpoint(tenant_id, name) or fail("no-endpoint", "The job type has no endpoint any more.")
    except SealingError as error:
        return _unreadable(error)


def _prepare_call(
    job: StartedJob, endpoints: Mapping[tuple[UUID, str], HttpEndpoint | Verdict]
) -> EndpointCall | HttpRequest | Verdict | Held:
    endpoint = endpoints.get((job.tenant_id, job.type))
    if isinstance(endpoint, HttpEndpoint) and endpoint.is_disabled:
        return Held()
    try:
        payload = open_blob(job.tenant_id, kind="payload", blob_id=job.payload_id, sealed=job.sealed_payload)
        complete_url = _complete_url(job)
    except SealingError as error:
        return _unreadable(error)
    if endpoint is None:
        return _prepare_adhoc(payload)
    if isinstance(endpoint, Verdict):
        return endpoint
    return EndpointCall(endpoint.target, endpoint.secrets, payload, endpoint.version, endpoint.scheme, complete_url)


def _complete_url(job: StartedJob) -> str | None:
    """None unless the operator has said under which address the service is reached."""
    public_url: str = settings.ENVIRONMENT.public_url
    if not public_url:
        return None
    return public_url.rstrip("/") + COMPLETIONS_PATH + make_token(RunRef(job.tenant_id, job.job_id, job.epoch))


def _prepare_adhoc(payload: bytes) -> HttpRequest | Verdict:
    try:
        return parse_http_request(json.loads(payload))
    except Invalid as invalid:
        sentence = " ".join(f"{fault.pointer}: {fault.detail}" for fault in invalid.faults)
        return fail("invalid-payload", sentence, is_permanent=True)


def _unreadable(error: SealingError) -> Verdict:
    return fail("unreadable", error.detail, is_permanent=True)
