"""One try of a delivery: what is sent, and what its answer leads to."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from standardwebhooks.webhooks import Webhook

from jobservice.egress.client import EgressClient
from jobservice.ids import EVENT, show_id
from jobservice.jobs.models import Job
from jobservice.webhooks.delivery_records import DeliveryResult
from tenants.models import Blob
from tests.contract import check_webhook
from tests.egress.servers import LOCAL, Answer, fixed, peer
from tests.factories import Tenant, make_job
from tests.jobs import dispatching
from tests.roles import as_role
from tests.webhooks.test_deliveries import claim, make_delivery, start
from tests.webhooks.test_endpoints import change, end_job, make_endpoint
from tests.workers.test_egress_http_jobs import reply, secrets_of, split
from workers.executors.deliveries import DeliveryRun, Try, make_result, prepare_deliveries, run_delivery

pytestmark = pytest.mark.django_db


def prepare() -> DeliveryRun:
    started = start(claim())
    with as_role("worker"):
        (run,) = prepare_deliveries(started)
    return run


def send(run: DeliveryRun, answer: Answer) -> tuple[DeliveryResult, bytes]:
    """The result, and the request that the receiver got."""

    async def scenario() -> tuple[DeliveryResult, bytes]:
        body = b""

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal body
            length = int(split(listener.requests[-1])[0]["content-length"])
            body = await reader.readexactly(length)
            await answer(reader, writer)

        async with peer(keep) as listener, EgressClient(LOCAL) as client:
            assert run.call is not None
            there = replace(run, call=replace(run.call, url=listener.url("/done")))
            return await run_delivery(there, client), listener.requests[0] + body

    return asyncio.run(scenario())


def test_the_event_goes_out_signed_under_its_own_id(tenant: Tenant) -> None:
    make_delivery(tenant, metadata={"k": "v"})
    trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    Job.objects.update(traceparent=trace)
    run = prepare()
    result, request = send(run, reply(200))
    assert (result.final_state, result.status) == ("delivered", 200)
    headers, body = split(request)
    Webhook(secrets_of(tenant)[0]).verify(body, headers)
    check_webhook("job.completed", headers, body)
    assert (headers["webhook-id"], headers["traceparent"]) == (show_id(EVENT, run.delivery.event_id), trace)
    message = json.loads(body)
    assert (message["type"], message["data"]["result"], message["data"]["metadata"]) == (
        "job.completed",
        {"n": 1},
        {"k": "v"},
    )


def discard_job(tenant: Tenant) -> None:
    """A job that failed for good, with an error text and a callback."""
    make_job(tenant, callback_url="http://127.0.0.1:9/done", max_attempts=1)
    (started,) = dispatching.start(dispatching.claim())
    failed = dispatching.outcome_of(started, "failed", error_code="handler-error", error_message="ValueError: no")
    dispatching.record(failed)


def test_a_discarded_jobs_event_tells_its_opened_error(tenant: Tenant) -> None:
    discard_job(tenant)
    _, request = send(prepare(), reply(204))
    headers, body = split(request)
    check_webhook("job.discarded", headers, body)
    message = json.loads(body)
    assert message["type"] == "job.discarded"
    assert message["data"]["job"]["error"] == {"code": "handler-error", "message": "ValueError: no"}
    assert message["data"]["result_included"] is False


def test_a_second_try_has_the_same_id(tenant: Tenant) -> None:
    make_delivery(tenant)
    run = prepare()
    (_, first), (_, second) = send(run, reply(500)), send(run, reply(500))
    assert split(first)[0]["webhook-id"] == split(second)[0]["webhook-id"]


@pytest.mark.parametrize(
    ("answer", "status", "error_class"),
    [(reply(500), 500, None), (reply(302, Location="/x"), 302, None), (fixed(b""), None, "disconnected")],
)
def test_anything_but_a_2xx_is_tried_again(
    tenant: Tenant, answer: Answer, status: int | None, error_class: str | None
) -> None:
    make_delivery(tenant)
    result, _ = send(prepare(), answer)
    assert (result.final_state, result.status, result.error_class) == (None, status, error_class)
    assert 4.5 <= result.delay_seconds <= 5.5


def test_an_endpoint_that_gave_up_its_own_secret_meanwhile_is_told_under_the_default_one(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant, signing={"scheme": "v1", "own": True})
    end_job(tenant)
    started = start(claim())
    change(tenant, endpoint, signing={"scheme": "v1", "own": False})
    with as_role("worker"):
        (run,) = prepare_deliveries(started)
    assert run.call is not None
    assert list(run.call.secrets) == secrets_of(tenant)


def test_a_url_that_does_not_open_has_failed_without_a_call(tenant: Tenant) -> None:
    make_delivery(tenant)
    for blob in Blob.objects.filter(kind="callback_url"):
        Blob.objects.filter(id=blob.id).update(sealed=bytes(blob.sealed)[:-1] + b"\x00\x00")
    run = prepare()
    assert run.call is None

    async def scenario() -> DeliveryResult:
        async with EgressClient(LOCAL) as client:
            return await run_delivery(run, client)

    result = asyncio.run(scenario())
    assert (result.final_state, result.error_class) == ("failed", "unreadable")


@pytest.mark.parametrize(
    ("attempt", "tried", "final_state", "delay_seconds"),
    [
        (1, Try(status=200), "delivered", None),
        (10, Try(status=299), "delivered", None),
        (1, Try(status=410), "failed", None),
        (1, Try(error_class="unreadable"), "failed", None),
        (1, Try(status=500), None, 5),
        (1, Try(status=404), None, 5),
        (1, Try(status=301), None, 5),
        (1, Try(error_class="refused"), None, 5),
        (9, Try(error_class="timeout"), None, 24 * 3600),
        (10, Try(error_class="timeout"), "failed", None),
        (1, Try(status=429, retry_after_seconds=60), None, 60),
        (2, Try(status=429, retry_after_seconds=60), None, 300),
        (10, Try(status=429, retry_after_seconds=60), "failed", None),
    ],
)
def test_what_follows_a_try(
    tenant: Tenant, attempt: int, tried: Try, final_state: str | None, delay_seconds: float | None
) -> None:
    make_delivery(tenant)
    run = prepare()
    result = make_result(replace(run, delivery=replace(run.delivery, attempt=attempt, tries=attempt)), tried, draw=0.5)
    assert result.final_state == final_state
    if delay_seconds is not None:
        assert result.delay_seconds == delay_seconds
