"""One try of one webhook delivery: open its parts, sign, send, and decide: delivered, due again, or failed.

`prepare_deliveries` reads the database and opens what is sealed, in a worker thread; `run_delivery` only sends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from jobservice import ids
from jobservice.egress.client import EgressAnswer, EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.retry_after import parse_retry_after
from jobservice.errors import SealingError
from jobservice.webhooks.deliveries import DeliveryResult, FinalState, StartedDelivery, StoredBlob
from jobservice.webhooks.event_body import OpenedEvent, event_body
from jobservice.webhooks.retry_schedule import next_delivery_delay
from jobservice.webhooks.signing import signed_headers
from tenants.blobs import open_blob
from tenants.context import tenants_tx
from tenants.signing_secrets import signing_secrets

# Standard Webhooks asks for 15 to 30 s.
TIMEOUT_SECONDS = 30.0
GONE = 410
UNREADABLE = "unreadable"
# The answer's body means nothing here; a little of it is read so that the status can be trusted.
_READ_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class DeliveryCall:
    """What is sent. `secrets` newest first."""

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    body: bytes = field(repr=False)


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


def prepare_deliveries(deliveries: Sequence[StartedDelivery]) -> list[DeliveryRun]:
    """Open what the tries of a started group need."""
    if not deliveries:
        return []
    tenants = {delivery.tenant_id for delivery in deliveries}
    with tenants_tx(tenants):
        secrets = {tenant_id: _find_secrets(tenant_id) for tenant_id in tenants}
    return [DeliveryRun(delivery, _open_call(delivery, secrets[delivery.tenant_id])) for delivery in deliveries]


async def run_delivery(run: DeliveryRun, client: EgressClient) -> DeliveryResult:
    """Send the event once and decide what follows."""
    if run.call is None:
        return make_result(run, Try(error_class=UNREADABLE))
    began = time.monotonic()
    try:
        answer = await client.send(delivery_request(run.delivery, run.call, now=datetime.now(UTC)))
    except EgressFailed as failure:
        return make_result(run, Try(error_class=failure.error_class, elapsed_seconds=time.monotonic() - began))
    return make_result(run, _read_answer(answer))


def make_result(run: DeliveryRun, tried: Try, *, draw: float | None = None) -> DeliveryResult:
    """2xx is delivered; 410 and what cannot be opened have failed; all else is tried again while the schedule lasts.

    Retry-After is a floor to the delay. `draw` in 0…1 replaces the random jitter.
    """
    final_state: FinalState | None = None
    delay = next_delivery_delay(run.delivery.attempt, draw)
    if tried.status is not None and 200 <= tried.status <= 299:
        final_state = "delivered"
    elif tried.status == GONE or tried.error_class == UNREADABLE or delay is None:
        final_state = "failed"
    return DeliveryResult(
        ref=run.delivery.ref,
        duration_ms=round(tried.elapsed_seconds * 1000),
        status=tried.status,
        error_class=tried.error_class,
        final_state=final_state,
        delay_seconds=max(delay or 0.0, tried.retry_after_seconds or 0.0),
    )


def delivery_request(delivery: StartedDelivery, call: DeliveryCall, *, now: datetime) -> EgressRequest:
    """The POST: its webhook-id is the event's on every try, its timestamp is of this one."""
    event_id = ids.show_id(ids.EVENT, delivery.event_id)
    headers = {
        "Content-Type": "application/json",
        **signed_headers(call.secrets, message_id=event_id, timestamp=int(now.timestamp()), body=call.body),
        **({"traceparent": delivery.traceparent} if delivery.traceparent else {}),
    }
    return EgressRequest(
        method="POST",
        url=call.url,
        headers=headers,
        body=call.body,
        timeout_seconds=TIMEOUT_SECONDS,
        read_limit_bytes=_READ_LIMIT_BYTES,
    )


def _read_answer(answer: EgressAnswer) -> Try:
    wait = parse_retry_after(answer.header("retry-after"), datetime.now(UTC))
    return Try(status=answer.status, retry_after_seconds=wait, elapsed_seconds=answer.elapsed_seconds)


def _find_secrets(tenant_id: UUID) -> tuple[str, ...]:
    """The tenant's signing secrets; none when they cannot be opened."""
    try:
        return tuple(signing_secrets(tenant_id))
    except SealingError:
        return ()


def _open_call(delivery: StartedDelivery, secrets: tuple[str, ...]) -> DeliveryCall | None:
    try:
        url = _open(delivery, "callback_url", delivery.callback)
        body = event_body(_open_event(delivery))
    except SealingError:
        return None
    return DeliveryCall(url.decode(), secrets, body) if url and secrets else None


def _open_event(delivery: StartedDelivery) -> OpenedEvent:
    message = _open(delivery, "error", delivery.error)
    result = _open(delivery, "result", delivery.result)
    return OpenedEvent(
        type=delivery.event_type,
        at=delivery.event_at,
        job=delivery.job,
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
