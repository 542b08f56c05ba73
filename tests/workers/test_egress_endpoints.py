"""From what happens to a signed request at a receiver: each type of event, each scheme, verified from outside."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema_rs
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from api.event_types import list_event_types
from jobservice.egress.client import EgressClient
from jobservice.ids import ENDPOINT, show_id
from jobservice.jobs.quota_warnings import QuotaWatch
from jobservice.webhooks.delivery_records import DeliveryResult
from jobservice.webhooks.endpoints import EndpointView, send_test_event
from jobservice.webhooks.event_types import EVENT_TYPES, SENT_TYPES
from jobservice.webhooks.models import Delivery
from tests.contract import check_webhook
from tests.egress.servers import LOCAL
from tests.factories import Tenant, make_job
from tests.jobs import dispatching
from tests.jobs.limiting import limit_tenant
from tests.jobs.lives import make_life
from tests.roles import as_role
from tests.serving import serving
from tests.webhooks.test_endpoints import end_job, make_endpoint, record, runs
from workers.executors.deliveries import DeliveryRun, run_delivery

pytestmark = pytest.mark.django_db


class Receiver(ThreadingHTTPServer):
    """Answers every POST with its status, and keeps headers and body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.status = 200
        self.received: list[tuple[Mapping[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/events"


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


def deliver() -> None:
    """Everything that is due, by the worker's own code, from the claim to the record."""

    async def send(found: list[DeliveryRun]) -> list[DeliveryResult]:
        async with EgressClient(LOCAL) as client:
            return [await run_delivery(run, client) for run in found]

    record(*asyncio.run(send(runs())))


def verify_v1a(public_key: str, headers: Mapping[str, str], body: bytes) -> None:
    """As a receiver does who knows the scheme and this key alone. Raises `InvalidSignature`."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    scheme, _, signature = headers["webhook-signature"].partition(",")
    assert scheme == "v1a"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key.verify(base64.b64decode(signature), signed)


def public_key_of(endpoint: EndpointView) -> str:
    assert endpoint.public_key is not None
    return endpoint.public_key


@pytest.mark.parametrize("own", [True, False])
def test_a_v1a_event_verifies_with_the_public_key_and_with_nothing_else(
    tenant: Tenant, receiver: Receiver, own: bool
) -> None:
    endpoint = make_endpoint(tenant, url=receiver.url, signing={"scheme": "v1a", "own": own}, headers={"X-Team": "a"})
    stranger = make_endpoint(tenant, url=receiver.url, events=["quota.warning"], signing={"scheme": "v1a", "own": True})
    end_job(tenant)
    deliver()
    ((headers, body),) = receiver.received
    verify_v1a(public_key_of(endpoint), headers, body)
    check_webhook("job.completed", headers, body)
    assert headers["x-team"] == "a"
    assert Delivery.objects.get().final_state == "delivered"
    for key, text in ((public_key_of(stranger), body), (public_key_of(endpoint), body + b" ")):
        with pytest.raises(InvalidSignature):
            verify_v1a(key, headers, text)


def test_a_v1_event_verifies_with_the_secret_that_the_api_answered_and_with_no_other(
    api: Any, tenant: Tenant, receiver: Receiver
) -> None:
    body = {"url": receiver.url, "signing": {"own": True}}
    made = api.post("/v1/webhook-endpoints", body, key=tenant.api_key).json()
    default = api.get("/v1/signing-secrets/default", key=tenant.api_key).json()
    end_job(tenant)
    deliver()
    rotated = api.post(f"/v1/webhook-endpoints/{made['id']}/rotate-secret", {}, key=tenant.api_key).json()
    end_job(tenant)
    deliver()
    (first, text), (second, later) = receiver.received
    old, new = made["signing"]["secret"], rotated["signing"]["secret"]
    Webhook(old).verify(text, dict(first))
    for secret in (old, new):
        Webhook(secret).verify(later, dict(second))
    for secret in (new, default["secret"]):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(text, dict(first))


def test_a_rotated_default_secret_signs_callbacks_and_endpoints_beside_the_old_one(
    api: Any, tenant: Tenant, receiver: Receiver
) -> None:
    make_endpoint(tenant, url=receiver.url)
    old = api.get("/v1/signing-secrets/default", key=tenant.api_key).json()["secret"]
    new = api.post("/v1/signing-secrets/default/rotate", {"overlap_seconds": 60}, key=tenant.api_key).json()["secret"]
    end_job(tenant, callback_url=receiver.url)
    deliver()
    assert len(receiver.received) == 2
    for headers, body in receiver.received:
        for secret in (old, new):
            Webhook(secret).verify(body, dict(headers))


def _fail_once(tenant: Tenant) -> None:
    make_job(tenant, max_attempts=2)
    dispatching.record(*[dispatching.outcome_of(job, "failed") for job in dispatching.start(dispatching.claim())])


def _disable(tenant: Tenant) -> None:
    """The endpoint that is gone is another one than the one that is told."""
    gone = make_endpoint(tenant, events=["quota.warning"])
    with as_role("web"):
        send_test_event(tenant.id, gone.id)
    (run,) = runs()
    record(DeliveryResult(run.delivery.ref, duration_ms=1, status=410, endpoint_id=gone.id, is_gone=True))


def _use_most(tenant: Tenant) -> None:
    limit_tenant(tenant, quotas={"open_jobs": 1})
    make_job(tenant)
    with as_role("dispatcher"):
        assert QuotaWatch().look() == 1


CAUSES: dict[str, Any] = {
    "job.completed": lambda tenant: end_job(tenant, metadata={"k": 1}),
    "job.discarded": lambda tenant: end_job(tenant, "failed"),
    "job.cancelled": lambda tenant: make_life(tenant, "cancelled"),
    "job.suspended": lambda tenant: make_life(tenant, "suspended by crashes"),
    "job.retrying": _fail_once,
    "endpoint.disabled": _disable,
    "quota.warning": _use_most,
}


@lru_cache(maxsize=1)
def schemas() -> dict[str, jsonschema_rs.Draft202012Validator]:
    """By the type of the event, as GET /v1/event-types answers them."""
    return {
        one["name"]: jsonschema_rs.Draft202012Validator(one["schema"], validate_formats=True)
        for one in list_event_types()
    }


def check_event(name: str, headers: Mapping[str, str], body: bytes) -> None:
    """As the document says, to the last member, and as the list of event types says."""
    check_webhook(name, headers, body)
    schemas()[name].validate(json.loads(body))


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_type_of_events_is_sent_as_its_schema_says(tenant: Tenant, receiver: Receiver, name: str) -> None:
    assert set(CAUSES) == set(EVENT_TYPES) == set(SENT_TYPES) - {"webhook.test"}
    make_endpoint(tenant, url=receiver.url, events=[name])
    CAUSES[name](tenant)
    deliver()
    assert receiver.received
    for headers, body in receiver.received:
        assert json.loads(body)["type"] == name
        check_event(name, headers, body)


def test_a_test_event_is_sent_as_its_schema_says(api: Any, tenant: Tenant, receiver: Receiver) -> None:
    endpoint = make_endpoint(tenant, url=receiver.url, events=["quota.warning"])
    path = f"/v1/webhook-endpoints/{show_id(ENDPOINT, endpoint.id)}"
    shown = api.post(f"{path}/test", {}, key=tenant.api_key).json()
    deliver()
    ((headers, body),) = receiver.received
    check_event("webhook.test", headers, body)
    assert headers["webhook-id"] == shown["event"]["id"]
    (listed,) = api.get(f"{path}/deliveries", key=tenant.api_key).json()["data"]
    assert (listed["id"], listed["state"], listed["attempts"][0]["status"]) == (shown["id"], "delivered", 200)
    again = api.post(f"/v1/deliveries/{shown['id']}/retry", {}, key=tenant.api_key)
    assert again.status_code == 200
    deliver()
    assert [one[0]["webhook-id"] for one in receiver.received] == [shown["event"]["id"]] * 2
