"""One try of one webhook delivery: open its parts, sign, send, and decide: delivered, due again, or failed.

`prepare_deliveries` reads the database and opens what is sealed, in a worker thread; `run_delivery` only sends.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from jobservice import ids
from jobservice.crash_points import crash_point
from jobservice.egress.client import EgressAnswer, EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.retry_after import parse_retry_after
from jobservice.errors import SealingError, Unavailable
from jobservice.webhooks.deliveries import StartedDelivery, StoredBlob
from jobservice.webhooks.delivery_records import DeliveryResult, FinalState
from jobservice.webhooks.endpoint_secrets import ANSWER, EndpointTarget, open_target, secret_name
from jobservice.webhooks.event_body import OpenedEvent, event_body
from jobservice.webhooks.retry_schedule import next_delivery_delay
from jobservice.webhooks.signing import Scheme, signed_headers
from tenants.blobs import SealedBlob, open_blob, seal_blob
from tenants.context import tenants_tx
from tenants.signing_secrets import DEFAULT, has_secrets, signing_secrets

# Standard Webhooks asks for 15 to 30 s.
TIMEOUT_SECONDS = 30.0
GONE = 410
# Answers of which Retry-After speaks for the endpoint and not for the event alone.
THROTTLING = frozenset({429, 502, 503, 504})
MOST_THROTTLED_SECONDS = 3600.0
UNREADABLE = "unreadable"
# Its endpoint was deleted after the event.
DELETED = "endpoint-deleted"
UNSENT = frozenset({UNREADABLE, DELETED})
# The answer's body decides nothing; its beginning is kept, sealed, for the tenant who looks for a fault.
_READ_LIMIT_BYTES = 4096
_KEPT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class DeliveryCall:
    """What is sent. `secrets` newest first; `headers` are the endpoint's own."""

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    scheme: Scheme = "v1"


@dataclass(frozen=True, slots=True)
class DeliveryRun:
    """A started delivery with its call; without one it cannot be opened, ever."""

    delivery: StartedDelivery
    call: DeliveryCall | None


@dataclass(frozen=True, slots=True)
class Try:
    """What the receiver did: a status, or the coarse word for why there was none."""

    status: int | None = None
    error_class: str | None = None
    retry_after_seconds: float | None = None
    elapsed_seconds: float = 0.0
    body: bytes = field(default=b"", repr=False)


def prepare_deliveries(deliveries: Sequence[StartedDelivery]) -> list[DeliveryRun]:
    """Open what the tries of a started group need."""
    if not deliveries:
        return []
    named = {(delivery.tenant_id, _secret_name(delivery)) for delivery in deliveries}
    with tenants_tx(tenant_id for tenant_id, _ in named):
        secrets = {(tenant_id, name): _find_secrets(tenant_id, name) for tenant_id, name in named}
    return [
        DeliveryRun(delivery, _open_call(delivery, secrets[delivery.tenant_id, _secret_name(delivery)]))
        for delivery in deliveries
    ]


async def run_delivery(run: DeliveryRun, client: EgressClient) -> DeliveryResult:
    """Send the event once and decide what follows."""
    if run.call is None:
        is_deleted = run.delivery.callback is None and run.delivery.endpoint is None
        return make_result(run, Try(error_class=DELETED if is_deleted else UNREADABLE))
    began = time.monotonic()
    crash_point("deliver.before_send")
    try:
        answer = await client.send(delivery_request(run.delivery, run.call, now=datetime.now(UTC)))
    except EgressFailed as failure:
        return make_result(run, Try(error_class=failure.error_class, elapsed_seconds=time.monotonic() - began))
    crash_point("deliver.after_answer")
    return make_result(run, _read_answer(answer))


def make_result(run: DeliveryRun, tried: Try, *, draw: float | None = None) -> DeliveryResult:
    """2xx is delivered; what cannot be opened has failed; all else is tried again while the schedule lasts.

    410 ends the delivery to a callback; an endpoint it disables, whose deliveries are held from then on. Retry-After
    is a floor to the delay. `draw` in 0…1 replaces the random jitter.
    """
    delivery = run.delivery
    final_state: FinalState | None = None
    delay = next_delivery_delay(delivery.tries, draw)
    is_gone = tried.status == GONE and delivery.endpoint_id is not None
    if tried.status is not None and 200 <= tried.status <= 299:
        final_state = "delivered"
    elif tried.error_class in UNSENT or (not is_gone and (tried.status == GONE or delay is None)):
        final_state = "failed"
    return DeliveryResult(
        ref=delivery.ref,
        duration_ms=round(tried.elapsed_seconds * 1000),
        status=tried.status,
        error_class=tried.error_class,
        final_state=final_state,
        delay_seconds=max(delay or 0.0, tried.retry_after_seconds or 0.0),
        endpoint_id=delivery.endpoint_id,
        is_gone=is_gone,
        was_sent=tried.error_class not in UNSENT,
        rest_seconds=_read_rest(tried),
        answer=_seal_answer(delivery, tried),
    )


def delivery_request(delivery: StartedDelivery, call: DeliveryCall, *, now: datetime) -> EgressRequest:
    """The POST: its webhook-id is the event's on every try, its timestamp is of this one."""
    event_id = ids.show_id(ids.EVENT, delivery.event_id)
    headers = {
        **call.headers,
        "Content-Type": "application/json",
        **signed_headers(
            call.secrets, message_id=event_id, timestamp=int(now.timestamp()), body=call.body, scheme=call.scheme
        ),
        **({"traceparent": delivery.traceparent} if delivery.traceparent else {}),
    }
    return EgressRequest(
        method="POST",
        url=call.url,
        headers=headers,
        body=call.body,
        timeout_seconds=TIMEOUT_SECONDS,
        read_limit_bytes=_READ_LIMIT_BYTES,
        target=delivery.endpoint_id or delivery.tenant_id,
        tenant=delivery.tenant_id,
    )


def _read_answer(answer: EgressAnswer) -> Try:
    wait = parse_retry_after(answer.header("retry-after"), datetime.now(UTC))
    return Try(status=answer.status, retry_after_seconds=wait, elapsed_seconds=answer.elapsed_seconds, body=answer.body)


def _read_rest(tried: Try) -> float | None:
    """For how long the receiver wants nothing at all, of this event or another; bounded, for it may be mistaken."""
    if tried.status not in THROTTLING or tried.retry_after_seconds is None:
        return None
    return min(tried.retry_after_seconds, MOST_THROTTLED_SECONDS)


def _seal_answer(delivery: StartedDelivery, tried: Try) -> SealedBlob | None:
    """The beginning of what an endpoint answered; of a callback nothing is kept."""
    if delivery.endpoint_id is None or not tried.body:
        return None
    try:
        return seal_blob(delivery.tenant_id, kind=ANSWER, plaintext=tried.body[:_KEPT_BYTES])
    except Unavailable:
        return None  # the keys went out of reach meanwhile: that it was delivered matters more


def _secret_name(delivery: StartedDelivery) -> str:
    if delivery.endpoint_id is None or delivery.endpoint is None or not delivery.endpoint.has_own_secret:
        return DEFAULT
    return secret_name(delivery.endpoint_id)


def _find_secrets(tenant_id: UUID, name: str) -> tuple[str, ...]:
    """The signing secrets of this name; none when they cannot be opened."""
    try:
        return tuple(signing_secrets(tenant_id, name))
    except SealingError:
        # Its own was given up after the delivery was started: from then on the endpoint signs with the default one.
        was_given_up = name != DEFAULT and not has_secrets(tenant_id, name)
        return _find_secrets(tenant_id, DEFAULT) if was_given_up else ()


def _open_call(delivery: StartedDelivery, secrets: tuple[str, ...]) -> DeliveryCall | None:
    try:
        target = _open_target(delivery)
        body = event_body(_open_event(delivery))
    except SealingError:
        return None
    if target is None or not secrets:
        return None
    scheme = delivery.endpoint.scheme if delivery.endpoint else "v1"
    return DeliveryCall(target.url, secrets, body, target.headers, scheme)


def _open_target(delivery: StartedDelivery) -> EndpointTarget | None:
    """Where it goes; None when that is gone. Raises `SealingError`."""
    if delivery.endpoint_id is not None:
        return (
            None
            if delivery.endpoint is None
            else open_target(delivery.tenant_id, delivery.endpoint_id, delivery.endpoint)
        )
    url = _open(delivery, "callback_url", delivery.callback)
    return EndpointTarget(url.decode()) if url else None


def _open_event(delivery: StartedDelivery) -> OpenedEvent:
    message = _open(delivery, "error", delivery.error)
    result = _open(delivery, "result", delivery.result)
    return OpenedEvent(
        type=delivery.event_type,
        at=delivery.event_at,
        job=delivery.job,
        seq=delivery.seq,
        details=delivery.details,
        result=result,
        is_result_withheld=delivery.result is not None and result is None,
        error_message=None if message is None else message.decode(),
        metadata=_open(delivery, "metadata", delivery.metadata),
    )


def _open(delivery: StartedDelivery, kind: str, blob: StoredBlob | None) -> bytes | None:
    """The value; None when there is none, or when it was not read. Raises `SealingError`."""
    if blob is None or blob.sealed is None:
        return None
    return open_blob(delivery.tenant_id, kind=kind, blob_id=blob.id, sealed=blob.sealed, epoch=blob.epoch)
