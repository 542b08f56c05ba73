"""Deliveries on their way: claimed, leased and fenced like jobs, and recorded once.

The dispatcher claims and reaps, and sees nothing sealed; the worker starts, renews, releases and records. Every write
of a worker names the epoch of its claim; one under an older epoch changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError

from jobservice.crypto.envelope import OVERHEAD_BYTES
from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.event_body import BODY_LIMIT_BYTES
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"
REAP_LIMIT = 500
FinalState = Literal["delivered", "failed"]


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A sealed value as it is stored; `sealed` is None when it was left where it is, or is gone."""

    id: UUID
    epoch: int | None
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartedDelivery:
    """A delivery this process holds under a lease, with all that its request is made of. `attempt` counts this try."""

    tenant_id: UUID
    delivery_id: UUID
    epoch: int
    attempt: int
    event_id: UUID
    event_type: str
    event_at: datetime
    job_id: UUID
    job: dict[str, Any]
    traceparent: str | None
    callback: StoredBlob
    result: StoredBlob | None
    error: StoredBlob | None
    metadata: StoredBlob | None

    @property
    def ref(self) -> Ref:
        return Ref(self.tenant_id, self.delivery_id, self.epoch)


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What one try came to. `final_state` ends the delivery; without it the next try is `delay_seconds` from now."""

    ref: Ref
    duration_ms: int
    status: int | None = None
    error_class: str | None = None
    final_state: FinalState | None = None
    delay_seconds: float = 0.0
    attempt_id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How many results were written, and the refs of those that came too late."""

    recorded: int
    lost: tuple[Ref, ...]


def claim_deliveries(limit: int, *, lease_seconds: float) -> list[Ref]:
    """Claim up to `limit` pending deliveries that are due, the longest due first. Run by the dispatcher."""
    began = time.perf_counter()
    rows = run_statement(_SQL / "claim_deliveries.sql", {"limit": limit, "lease_seconds": lease_seconds})
    duration_ms = round((time.perf_counter() - began) * 1000, 3)
    log_event("deliveries_claimed", level="debug", pool="deliveries", count=len(rows), duration_ms=duration_ms)
    return [_ref(row) for row in rows]


def start_deliveries(refs: Sequence[Ref], *, worker_id: UUID, lease_seconds: float) -> list[StartedDelivery]:
    """Start those still dispatched under the epoch the message names; the others are left out. One transaction."""
    parameters = {**_columns(refs), "worker": worker_id, "lease_seconds": lease_seconds}
    with tenants_tx(ref.tenant_id for ref in refs):
        started = run_statement(_SQL / "start_deliveries.sql", parameters)
        ours = {
            "tenants": [row.tenant_id for row in started],
            "deliveries": [row.delivery_id for row in started],
            "result_limit": BODY_LIMIT_BYTES + OVERHEAD_BYTES,
        }
        rows = run_statement(_SQL / "read_started_deliveries.sql", ours) if started else []
    return [_started(row) for row in rows]


def renew_deliveries(refs: Sequence[Ref], *, worker_id: UUID, lease_seconds: float) -> frozenset[Ref]:
    """Prolong the leases this worker still holds. A ref missing from the answer belongs to somebody else: stop it."""
    parameters = {**_columns(refs), "worker": worker_id, "lease_seconds": lease_seconds}
    with tenants_tx(ref.tenant_id for ref in refs):
        return frozenset(_ref(row) for row in run_statement(_SQL / "renew_deliveries.sql", parameters))


def release_deliveries(refs: Sequence[Ref], *, worker_id: UUID) -> int:
    """Give started deliveries back: due again, a new epoch, no attempt counted. The number given back."""
    with tenants_tx(ref.tenant_id for ref in refs):
        return len(run_statement(_SQL / "release_deliveries.sql", {**_columns(refs), "worker": worker_id}))


def record_deliveries(results: Sequence[DeliveryResult]) -> DeliveryReport:
    """Write these results in one transaction; a group that fails is repeated one by one.

    Raises `django.db.OperationalError` or `InterfaceError` when the database is away.
    """
    if not results:
        return DeliveryReport(0, ())
    try:
        held = _record_group(results)
    except (OperationalError, InterfaceError):
        raise
    except Error as error:
        log_event("delivery_group_failed", level="warning", count=len(results), error_class=type(error).__name__)
        held = _record_singly(results)
    lost = tuple(result.ref for result in results if result.ref not in held)
    for result in results:
        _tell_recorded(result, held.get(result.ref))
    return DeliveryReport(len(results) - len(lost), lost)


def reap_deliveries() -> int:
    """Take back deliveries whose lease ended: due again. The number taken back. Run by the dispatcher."""
    count = len(run_statement(_SQL / "reap_deliveries.sql", {"limit": REAP_LIMIT}))
    if count:
        log_event("deliveries_reaped", level="debug", count=count)
    return count


def count_held_deliveries() -> int:
    """How many deliveries are claimed or under way, of all tenants. Run by the dispatcher."""
    (row,) = run_statement(_SQL / "count_held_deliveries.sql", {})
    return int(row.held)


def _tell_recorded(result: DeliveryResult, row: Any | None) -> None:
    """`row` is what the statement answered; without one the result came too late."""
    names = {"tenant_id": result.ref.tenant_id, "delivery_id": result.ref.id, "epoch": result.ref.epoch}
    if row is None:
        log_event("stale_write_refused", level="warning", kind="delivery", **names)
        return
    log_event(
        "delivery_recorded",
        # The end of a delivery that nobody took is worth a line; the others are the normal course.
        level="info" if result.final_state == "failed" else "debug",
        job_id=row.job_id,
        outcome=result.final_state or "retried",
        status=result.status,
        error_class=result.error_class,
        duration_ms=result.duration_ms,
        latency_ms=round(row.age_seconds * 1000, 1) if result.final_state == "delivered" else None,
        **names,
    )


def _record_group(results: Sequence[DeliveryResult]) -> dict[Ref, Any]:
    """The refs that were still held and are written now, with what the statement says of each."""
    parameters = {
        **_columns([result.ref for result in results]),
        "attempts": [result.attempt_id for result in results],
        "durations": [result.duration_ms for result in results],
        "statuses": [result.status for result in results],
        "error_classes": [result.error_class for result in results],
        "finals": [result.final_state for result in results],
        "delays": [float(result.delay_seconds) for result in results],
    }
    with tenants_tx(result.ref.tenant_id for result in results):
        run_statement(_SQL / "lock_delivering.sql", _columns([result.ref for result in results]))
        return {_ref(row): row for row in run_statement(_SQL / "record_deliveries.sql", parameters)}


def _record_singly(results: Sequence[DeliveryResult]) -> dict[Ref, Any]:
    held: dict[Ref, Any] = {}
    for result in results:
        try:
            held |= _record_group([result])
        except (OperationalError, InterfaceError):
            raise
        except Error as error:
            # Its lease will end and it will be sent again.
            names = {"tenant_id": result.ref.tenant_id, "delivery_id": result.ref.id}
            log_event("delivery_record_failed", level="error", **names, error_class=type(error).__name__)
    return held


def _columns(refs: Sequence[Ref]) -> dict[str, Any]:
    return {
        "tenants": [ref.tenant_id for ref in refs],
        "deliveries": [ref.id for ref in refs],
        "epochs": [ref.epoch for ref in refs],
    }


def _ref(row: Any) -> Ref:
    return Ref(row.tenant_id, row.delivery_id, row.epoch)


def _started(row: Any) -> StartedDelivery:
    return StartedDelivery(
        tenant_id=row.tenant_id,
        delivery_id=row.delivery_id,
        epoch=row.epoch,
        attempt=row.attempt,
        event_id=row.event_id,
        event_type=row.type,
        event_at=row.at,
        job_id=row.job_id,
        job=row.job,
        traceparent=row.traceparent,
        callback=StoredBlob(row.callback_id, None, _bytes(row.callback_sealed)),
        result=_blob(row.result_id, row.result_epoch, row.result_sealed),
        error=_blob(row.error_id, row.error_epoch, row.error_sealed),
        metadata=_blob(row.metadata_id, None, row.metadata_sealed),
    )


def _blob(blob_id: UUID | None, epoch: int | None, sealed: Any) -> StoredBlob | None:
    return None if blob_id is None else StoredBlob(blob_id, epoch, _bytes(sealed))


def _bytes(sealed: Any) -> bytes | None:
    return None if sealed is None else bytes(sealed)
