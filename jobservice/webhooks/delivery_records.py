"""What a try of a delivery came to: written once, in groups, and never over what a later claim has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.db import Error

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.database import is_database_away
from jobservice.errors import SealingError, Unavailable
from jobservice.ids import ENDPOINT, new_id, show_id
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.delivery_refs import read_ref, ref_columns
from jobservice.webhooks.event_types import ENDPOINT_DISABLED
from jobservice.webhooks.events import tell_tenant
from tenants.blobs import SealedBlob, insert_blobs, is_outdated
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"
# An endpoint of which every try failed for so long is disabled.
FAILING_SECONDS = 5 * 24 * 3600.0
# Of an endpoint whose tries fail, one group after the other: from which on it rests, for how long at first and at most.
FAILURES_TO_REST = 5
FIRST_REST_SECONDS, MOST_REST_SECONDS = 10.0, 300.0
FinalState = Literal["delivered", "failed"]


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What one try came to. `final_state` ends the delivery; without it the next try is `delay_seconds` from now.

    `is_gone`: the endpoint wants no more events, and is disabled; the delivery is held with its others. `was_sent`: it
    went out, so that its end says something of its receiver.
    """

    ref: Ref
    duration_ms: int
    status: int | None = None
    error_class: str | None = None
    final_state: FinalState | None = None
    delay_seconds: float = 0.0
    endpoint_id: UUID | None = None
    is_gone: bool = False
    was_sent: bool = True
    # For how long the endpoint asked to be left alone; None: it did not.
    rest_seconds: float | None = None
    answer: SealedBlob | None = None
    attempt_id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How many results were written, and the refs of those that came too late."""

    recorded: int
    lost: tuple[Ref, ...]


def record_deliveries(results: Sequence[DeliveryResult]) -> DeliveryReport:
    """Write these results in one transaction; a group that fails is repeated one by one.

    Raises an `Error` that `is_database_away` knows while the database is.
    """
    if not results:
        return DeliveryReport(0, ())
    try:
        held = _record_group(results)
    except Error as error:
        if is_database_away(error):
            raise
        log_event("delivery_group_failed", level="warning", count=len(results), error_class=type(error).__name__)
        held = _record_singly(results)
    lost = tuple(result.ref for result in results if result.ref not in held)
    for result in results:
        _tell_recorded(result, held.get(result.ref))
    return DeliveryReport(len(results) - len(lost), lost)


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
        **ref_columns([result.ref for result in results]),
        "attempts": [result.attempt_id for result in results],
        "durations": [result.duration_ms for result in results],
        "statuses": [result.status for result in results],
        "error_classes": [result.error_class for result in results],
        "finals": [result.final_state for result in results],
        "delays": [float(result.delay_seconds) for result in results],
        "is_held": [result.is_gone for result in results],
    }
    with tenants_tx(result.ref.tenant_id for result in results):
        locked = run_statement(_SQL / "lock_delivering.sql", ref_columns([result.ref for result in results]))
        crash_point("deliver.after_lock")
        held = {row.delivery_id for row in locked}
        answers = [_storable_answer(result) if result.ref.id in held else None for result in results]
        insert_blobs([answer for answer in answers if answer is not None])
        parameters["answers"] = [None if answer is None else answer.id for answer in answers]
        rows = run_statement(_SQL / "record_deliveries.sql", parameters)
        told = [result for result in results if result.ref.id in held and result.was_sent]
        _note_health(told)
        disabled = _note_endpoints(told)
        crash_point("deliver.before_commit")
    crash_point("deliver.recorded")
    for row in disabled:
        log_event("endpoint_disabled", level="warning", tenant_id=row.tenant_id, endpoint_id=row.id, reason=row.reason)
    return {read_ref(row): row for row in rows}


def _storable_answer(result: DeliveryResult) -> SealedBlob | None:
    """What was answered, unless the tenant's key was changed since that was sealed: it is not worth sealing anew."""
    try:
        return None if result.answer is None or is_outdated(result.answer) else result.answer
    except (SealingError, Unavailable):
        return None


def _note_health(results: Sequence[DeliveryResult]) -> None:
    """Write down how the targets did, if that changes what they may have at once."""
    if not results:
        return
    parameters = {
        "targets": [result.endpoint_id or result.ref.tenant_id for result in results],
        "tenants": [result.ref.tenant_id for result in results],
        "is_endpoint": [result.endpoint_id is not None for result in results],
        "is_taken": [result.final_state == "delivered" for result in results],
        "durations": [result.duration_ms for result in results],
        "rests": [result.rest_seconds for result in results],
        "failures_to_rest": FAILURES_TO_REST,
        "first_rest_seconds": FIRST_REST_SECONDS,
        "most_rest_seconds": MOST_REST_SECONDS,
    }
    run_statement(_SQL / "note_health.sql", parameters)


def _note_endpoints(results: Sequence[DeliveryResult]) -> list[Any]:
    """Write down which endpoints fail and which do not any more; tell of those that are disabled by it."""
    told = [(result, result.endpoint_id) for result in results if result.endpoint_id is not None]
    if not told:
        return []
    parameters = {
        "tenants": [result.ref.tenant_id for result, _ in told],
        "endpoints": [endpoint_id for _, endpoint_id in told],
        "is_taken": [result.final_state == "delivered" for result, _ in told],
        "is_gone": [result.is_gone for result, _ in told],
        "most_seconds": FAILING_SECONDS,
    }
    disabled = run_statement(_SQL / "note_endpoints.sql", parameters)
    for row in disabled:
        details = {"endpoint": {"id": show_id(ENDPOINT, row.id), "status": "disabled", "status_reason": row.reason}}
        tell_tenant(row.tenant_id, ENDPOINT_DISABLED, details)
    return disabled


def _record_singly(results: Sequence[DeliveryResult]) -> dict[Ref, Any]:
    held: dict[Ref, Any] = {}
    for result in results:
        try:
            held |= _record_group([result])
        except Error as error:
            if is_database_away(error):
                raise
            # Its lease will end and it will be sent again.
            names = {"tenant_id": result.ref.tenant_id, "delivery_id": result.ref.id}
            log_event("delivery_record_failed", level="error", **names, error_class=type(error).__name__)
    return held
