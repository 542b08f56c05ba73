"""Jobs of the http executor from their stored rows to the outcome, against peers on loopback."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from standardwebhooks.webhooks import Webhook

from jobservice.egress.client import EgressClient
from jobservice.jobs.completion_token import RunRef, read_token
from jobservice.jobs.http_request import HttpRequest
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import LiveJob
from jobservice.jobs.outcomes import Outcome, StartedJob, Throttle
from jobservice.jobs.type_switch import disable_type
from tenants.models import SigningSecret
from tenants.signing_secrets import signing_secrets
from tests.contract import check_webhook
from tests.egress.servers import LOCAL, Answer, endless, fixed, peer
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, job_uuid, start
from tests.roles import as_role
from workers.egress_work import HttpJobs
from workers.executors.http import EndpointCall, Gone, Held, HttpEnd, HttpRun, LeftRun, prepare_http_jobs, run_http_job

pytestmark = pytest.mark.django_db

NOWHERE = "http://127.0.0.1:9/work"


def put_type(tenant: Tenant, **http: Any) -> None:
    with as_role("web"):
        put_job_type(tenant.id, "work.do", {"executor": "http", "http": {"url": NOWHERE, **http}})


def start_egress() -> list[StartedJob]:
    return start(claim(pool="egress"))


def prepare(jobs: list[StartedJob]) -> list[HttpRun]:
    with as_role("worker"):
        return prepare_http_jobs(jobs, worker_id=WORKER, began=0.0)


def point_to(run: HttpRun, url: str) -> HttpRun:
    """The same run, to a peer whose port was not known when the job was made."""
    match run.call:
        case EndpointCall() as call:
            return replace(run, call=replace(call, target=replace(call.target, url=url)))
        case HttpRequest() as request:
            return replace(run, call=replace(request, url=url))
        case verdict:
            raise AssertionError(verdict)


def run_against(run: HttpRun, answer: Answer) -> tuple[Outcome, bytes]:
    """The outcome, and the request that the peer got, head and body."""
    end, request = end_against(run, answer)
    assert isinstance(end, Outcome)
    return end, request


def end_against(run: HttpRun, answer: Answer) -> tuple[HttpEnd, bytes]:
    """Whatever the run came to, and the request that the peer got."""

    async def scenario() -> tuple[HttpEnd, bytes]:
        body = b""

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal body
            body = await reader.readexactly(int(split(listener.requests[-1])[0].get("content-length", "0")))
            await answer(reader, writer)

        async with peer(keep) as listener, EgressClient(LOCAL) as client:
            outcome = await run_http_job(point_to(run, listener.url("/work")), client)
            return outcome, listener.requests[0] + body

    return asyncio.run(scenario())


def run_to_nowhere(run: HttpRun) -> Outcome:
    """The outcome of a run whose endpoint, if it is called at all, is a closed port."""

    async def scenario() -> HttpEnd:
        async with EgressClient(LOCAL) as client:
            return await run_http_job(run, client)

    end = asyncio.run(scenario())
    assert isinstance(end, Outcome)
    return end


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return fixed(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body)


def split(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    pairs = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line]
    return {name.lower(): value for name, value in pairs}, body


def secrets_of(tenant: Tenant) -> list[str]:
    with as_role("owner"):
        return signing_secrets(tenant.id)


def test_the_endpoint_gets_a_signed_job_run_with_its_fence(tenant: Tenant) -> None:
    put_type(tenant, headers={"X-Token": "abc"})
    job = make_job(tenant, type="work.do", payload={"n": 12345678901234567890}, tags={"customer": "7"})
    (run,) = prepare(start_egress())
    outcome, request = run_against(run, reply(200, b'{"done": 1}'))
    assert (outcome.kind, outcome.result) == ("completed", b'{"done": 1}')
    headers, body = split(request)
    Webhook(secrets_of(tenant)[0]).verify(body, headers)
    check_webhook("job.run", headers, body)
    assert headers["webhook-id"] == headers["idempotency-key"] == job["id"]
    assert (headers["job-attempt"], headers["job-epoch"], headers["x-token"]) == ("1", "1", "abc")
    assert "job-complete-url" not in headers
    message = json.loads(body)
    assert message["type"] == "job.run"
    data = message["data"]
    assert (data["payload"], data["attempt"], data["epoch"]) == ({"n": 12345678901234567890}, 1, 1)
    assert data["deadline"] == headers["job-deadline"]
    assert {"id": job["id"], "type": "work.do", "state": "executing", "tags": {"customer": "7"}}.items() <= data[
        "job"
    ].items()


@pytest.mark.parametrize("type_name", ["work.do", "http.request"])
def test_the_trace_of_the_submission_goes_on_in_the_call(api: Any, tenant: Tenant, type_name: str) -> None:
    put_type(tenant)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    body = {"type": type_name, "payload": {"url": NOWHERE}}
    assert api.post("/v1/jobs", body, key=tenant.api_key, traceparent=trace).status_code == 201
    (run,) = prepare(start_egress())
    headers, _ = split(run_against(run, reply(200))[1])
    assert headers["traceparent"] == trace


def test_a_tenants_own_trace_wins_in_an_ad_hoc_call(api: Any, tenant: Tenant) -> None:
    trace, own = (f"00-{digit * 32}-00f067aa0ba902b7-01" for digit in "12")
    body = {"type": "http.request", "payload": {"url": NOWHERE, "headers": {"Traceparent": own}}}
    api.post("/v1/jobs", body, key=tenant.api_key, traceparent=trace)
    (run,) = prepare(start_egress())
    _, request = run_against(run, reply(200))
    assert request.lower().count(b"\r\ntraceparent:") == 1
    assert split(request)[0]["traceparent"] == own


def test_a_tenants_header_cannot_replace_one_of_the_services(tenant: Tenant) -> None:
    put_type(tenant, headers={"idempotency-key": "forged", "content-type": "text/plain"})
    job = make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    _, request = run_against(run, reply(200))
    headers, _ = split(request)
    assert request.lower().count(b"\r\nidempotency-key:") == 1
    assert (headers["idempotency-key"], headers["content-type"]) == (job["id"], "application/json")


def test_a_failed_answer_carries_its_retry_after(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    outcome, _ = run_against(run, reply(503, Retry_After="9"))
    assert (outcome.kind, outcome.error_code, outcome.retry_after_seconds) == ("failed", "http-503", 9.0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_is_of_the_version_of_the_type_that_was_called(tenant: Tenant, status: int) -> None:
    put_type(tenant)
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    outcome, _ = run_against(run, reply(status, Retry_After="9"))
    assert outcome.throttle == Throttle(9.0, type_version=2)


def test_an_adhoc_call_asks_for_no_pause_of_others(tenant: Tenant) -> None:
    make_job(tenant, type="http.request", payload={"method": "GET", "url": NOWHERE})
    (run,) = prepare(start_egress())
    outcome, _ = run_against(run, reply(429, Retry_After="9"))
    assert (outcome.retry_after_seconds, outcome.throttle) == (9.0, None)


def test_a_snooze_carries_its_seconds(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    outcome, _ = run_against(run, reply(503, Job_Snooze="90"))
    assert (outcome.kind, outcome.snooze_seconds) == ("snoozed", 90.0)


@pytest.mark.parametrize("public_url", ["https://jobs.example", "https://jobs.example/"])
def test_an_endpoint_is_told_where_it_may_complete_the_job_later(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, public_url: str
) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, public_url=public_url))
    put_type(tenant, headers={"job-complete-url": "https://evil.example/"})
    job = make_job(tenant, type="work.do", timeout_seconds=600)
    (run,) = prepare(start_egress())
    end, request = end_against(run, reply(202, b"I am on it", Job_Completion="async"))
    headers, body = split(request)
    check_webhook("job.run", headers, body)
    assert headers["job-complete-url"].startswith("https://jobs.example/v1/completions/")
    assert read_token(headers["job-complete-url"].rpartition("/")[2]) == RunRef(tenant.id, job_uuid(job), 1)
    assert isinstance(end, LeftRun)
    assert (end.job.job_id, end.worker_id) == (job_uuid(job), WORKER)
    assert 590 < end.deadline - time.monotonic() <= 600


def test_without_a_public_address_nothing_is_completed_later(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    outcome, request = run_against(run, reply(202, Job_Completion="async"))
    assert "job-complete-url" not in split(request)[0]
    assert (outcome.error_code, outcome.is_permanent) == ("async-completion-unavailable", True)


def test_an_endpoint_that_is_gone_says_so_of_its_version_of_the_type(tenant: Tenant) -> None:
    put_type(tenant)
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    end, _ = end_against(run, reply(410))
    assert isinstance(end, Gone)
    assert (end.type_version, end.outcome.error_code, end.outcome.is_permanent) == (2, "http-410", True)


def test_no_call_is_made_for_a_type_that_is_switched_off(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    with as_role("worker"):
        assert disable_type(tenant.id, "work.do", version=1, reason="Gone.")
    (run,) = prepare(start_egress())
    assert run.call == Held()


def test_an_endpoint_that_drips_is_cut_at_the_jobs_timeout(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do", timeout_seconds=1)
    (run,) = prepare(start_egress())
    outcome, _ = run_against(run, endless(b"HTTP/1.1 200 OK\r\n\r\n", b".", every_seconds=0.05))
    assert (outcome.kind, outcome.error_code) == ("timed-out", "timed-out")


def test_a_closed_port_is_a_coarse_word_without_an_address(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = prepare(start_egress())
    outcome = run_to_nowhere(run)
    assert (outcome.kind, outcome.error_code, outcome.is_permanent) == ("failed", "connect", False)
    assert "127.0.0.1" not in (outcome.error_message or "")


def test_an_adhoc_call_is_sent_as_the_payload_says_and_answers_its_result(tenant: Tenant) -> None:
    payload = {"method": "PUT", "url": NOWHERE, "headers": {"X-A": "b"}, "body": {"q": 1}, "expect_status": 418}
    make_job(tenant, type="http.request", payload=payload)
    (run,) = prepare(start_egress())
    outcome, request = run_against(run, reply(418, b"short and stout"))
    assert request.startswith(b"PUT /work ")
    headers, body = split(request)
    assert (headers["x-a"], headers["content-type"], body) == ("b", "application/json", b'{"q":1}')
    assert "webhook-signature" not in headers
    assert outcome.kind == "completed"
    result = json.loads(outcome.result or b"")
    assert (result["status"], result["body"]) == (418, "short and stout")


def test_each_tenants_job_is_signed_with_its_own_secret(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant):
        put_type(owner)
        make_job(owner, type="work.do")
    runs = {run.job.tenant_id: run for run in prepare(start_egress())}
    for owner in (tenant, other_tenant):
        _, request = run_against(runs[owner.id], reply(200))
        headers, body = split(request)
        Webhook(secrets_of(owner)[0]).verify(body, headers)


def test_a_secret_that_does_not_open_fails_its_own_tenants_jobs_only(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant):
        put_type(owner)
        make_job(owner, type="work.do")
    row = SigningSecret.objects.get(tenant_id=tenant.id)
    SigningSecret.objects.filter(id=row.id).update(sealed=bytes(row.sealed)[:-1] + b"\x00\x00")
    runs = {run.job.tenant_id: run for run in prepare(start_egress())}
    broken = run_to_nowhere(runs[tenant.id])
    assert (broken.error_code, broken.is_permanent) == ("unreadable", True)
    assert run_against(runs[other_tenant.id], reply(200))[0].kind == "completed"


def test_a_payload_that_does_not_open_is_permanent(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    (job,) = start_egress()
    (run,) = prepare([replace(job, sealed_payload=job.sealed_payload[:-1] + bytes([job.sealed_payload[-1] ^ 1]))])
    outcome = run_to_nowhere(run)
    assert (outcome.error_code, outcome.is_permanent) == ("unreadable", True)


def test_what_was_started_and_cannot_be_prepared_goes_back_at_once(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    refs = claim(pool="egress")

    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("workers.egress_work.prepare_http_jobs", break_down)
    work = HttpJobs(EgressClient(LOCAL), lease_seconds=30)
    with as_role("worker"), pytest.raises(RuntimeError):
        work.start(refs, worker_id=WORKER)
    row = LiveJob.objects.get()
    assert (row.state, row.attempt, row.epoch) == ("available", 0, 2)
