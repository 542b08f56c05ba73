"""Reads of deliveries for the tenant: those to an endpoint in pages, and one, each with its latest tries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.cursors import CursorScope
from jobservice.errors import NotFound, Unreadable
from jobservice.ids import ENDPOINT, show_id
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.endpoint_secrets import ANSWER
from jobservice.webhooks.endpoints import has_endpoint, unknown_endpoint
from tenants.audit import note_act
from tenants.blobs import open_blob
from tenants.context import tenant_tx
from tenants.models import Blob

_SQL = Path(__file__).resolve().parent / "sql"
STATES = ("pending", "delivering", "delivered", "failed", "held")
# How many tries of one delivery are shown, the latest.
MAX_ATTEMPTS = 20
# How many deliveries are looked at for one page of those that a filter wants.
WINDOW = 2000
_OLDEST, _NEWEST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One try. `answer` is the beginning of what the receiver answered, where it was asked for and there is one."""

    id: UUID
    number: int
    at: datetime
    status: int | None
    duration_ms: int
    error_class: str | None
    next_attempt_at: datetime | None
    answer: str | None = field(default=None, repr=False)

    @property
    def is_taken(self) -> bool:
        """Whether the receiver answered with a 2xx."""
        return self.status is not None and 200 <= self.status <= 299


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One event on its way to one receiver, with its latest tries, the newest first."""

    id: UUID
    event_id: UUID
    event_type: str
    event_at: datetime
    job_id: UUID | None
    state: str
    attempt: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    attempts: Sequence[AttemptView]
    # None: a callback of the job's own, or not asked for.
    endpoint_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class DeliveryFilters:
    """Which deliveries are wanted: in this state, of events of this type; None is all."""

    state: str | None = None
    event: str | None = None

    @property
    def is_any(self) -> bool:
        return self.state is None and self.event is None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Part of the list of deliveries. `next_cursor` is None at the end."""

    data: list[DeliveryView]
    next_cursor: str | None


def list_deliveries(
    tenant_id: UUID,
    endpoint_id: UUID,
    *,
    filters: DeliveryFilters,
    limit: int,
    cursor: str | None = None,
    with_answers: bool = False,
) -> DeliveryPage:
    """A page of the deliveries to the endpoint, the newest first.

    With a filter it may be short, or empty, though there are more: it is the page of the next `WINDOW` deliveries.
    Raises `NotFound`, and `Invalid` for a cursor that is not of this list.
    """
    wanted = {"endpoint": str(endpoint_id), "state": filters.state, "event": filters.event}
    scope = CursorScope(tenant_id, "deliveries", wanted)
    with tenant_tx(tenant_id):
        if not has_endpoint(tenant_id, endpoint_id):
            raise unknown_endpoint()
        parameters = {
            "tenant": tenant_id,
            "endpoint": endpoint_id,
            "before": _NEWEST if cursor is None else UUID(bytes=scope.read(cursor)),
            "after": _OLDEST,
            "window": limit + 1 if filters.is_any else max(WINDOW, limit + 1),
            "state": filters.state,
            "type": filters.event,
            "limit": limit + 1,
        }
        rows = run_statement(_SQL / "list_deliveries.sql", parameters)
        shown = [row for row in rows if row.is_wanted][:limit]
        views = _show(tenant_id, shown, with_answers=with_answers)
        if with_answers:
            note_act(tenant_id, "endpoint.answers-read", show_id(ENDPOINT, endpoint_id))
    return DeliveryPage(views, _next_cursor(scope, rows, shown, limit=limit))


def find_deliveries(tenant_id: UUID, endpoint_id: UUID, delivery_ids: Collection[UUID]) -> list[DeliveryView]:
    """Those of these deliveries that there are and that go to the endpoint, the newest first."""
    with tenant_tx(tenant_id):
        parameters = {"tenant": tenant_id, "endpoint": endpoint_id, "deliveries": list(delivery_ids)}
        return _show(tenant_id, run_statement(_SQL / "read_deliveries.sql", parameters))


def count_newer_deliveries(
    tenant_id: UUID, endpoint_id: UUID, filters: DeliveryFilters, *, after: UUID | None, limit: int
) -> int:
    """How many that the filters want came after this one (None: all), of the newest `WINDOW`, counted up to `limit`."""
    parameters = {
        "tenant": tenant_id,
        "endpoint": endpoint_id,
        "before": _NEWEST,
        "after": after or _OLDEST,
        "window": limit if filters.is_any else WINDOW,
        "state": filters.state,
        "type": filters.event,
        "limit": limit,
    }
    with tenant_tx(tenant_id):
        return sum(row.is_wanted for row in run_statement(_SQL / "list_deliveries.sql", parameters))


def read_delivery(tenant_id: UUID, delivery_id: UUID) -> DeliveryView | None:
    """The delivery of this id, to an endpoint or a callback; None when the tenant has none."""
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "read_delivery.sql", {"tenant": tenant_id, "delivery": delivery_id})
        return _show(tenant_id, rows)[0] if rows else None


def list_job_deliveries(tenant_id: UUID, job_id: UUID, *, limit: int) -> list[DeliveryView]:
    """The newest deliveries of the job's events, wherever they go; none of a job that the tenant does not have."""
    with tenant_tx(tenant_id):
        parameters = {"tenant": tenant_id, "job": job_id, "limit": limit}
        return _show(tenant_id, run_statement(_SQL / "list_job_deliveries.sql", parameters))


def unknown_delivery() -> NotFound:
    """The same for an id of nothing and another tenant's."""
    return NotFound("There is no delivery of this id.")


def _next_cursor(scope: CursorScope, rows: Sequence[Any], shown: Sequence[Any], *, limit: int) -> str | None:
    """After the last entry when there is more than the page; after the window when that ended first."""
    if len(rows) > limit:
        return scope.show(shown[-1].id.bytes)
    return scope.show(rows[-1].id.bytes) if rows and rows[-1].is_last_of_window else None


def _show(tenant_id: UUID, rows: Sequence[Any], *, with_answers: bool = False) -> list[DeliveryView]:
    parameters = {"tenant": tenant_id, "deliveries": [row.id for row in rows], "limit": MAX_ATTEMPTS}
    attempts = run_statement(_SQL / "read_delivery_attempts.sql", parameters) if rows else []
    answers = _open_answers(tenant_id, attempts) if with_answers else {}
    by_delivery: dict[UUID, list[AttemptView]] = {}
    for attempt in attempts:
        by_delivery.setdefault(attempt.delivery_id, []).append(_show_attempt(attempt, answers))
    return [
        DeliveryView(
            id=row.id,
            event_id=row.event_id,
            event_type=row.type,
            event_at=row.at,
            job_id=row.job_id,
            state=row.state,
            attempt=row.attempt,
            next_attempt_at=row.next_attempt_at,
            created_at=row.created_at,
            finished_at=row.finished_at,
            attempts=by_delivery.get(row.id, ()),
            endpoint_id=getattr(row, "endpoint_id", None),
        )
        for row in rows
    ]


def _show_attempt(row: Any, answers: Mapping[UUID, str]) -> AttemptView:
    return AttemptView(
        id=row.id,
        number=row.number,
        at=row.at,
        status=row.status,
        duration_ms=row.duration_ms,
        error_class=row.error_class,
        next_attempt_at=row.next_attempt_at,
        answer=answers.get(row.answer_id),
    )


def _open_answers(tenant_id: UUID, attempts: Sequence[Any]) -> dict[UUID, str]:
    """What receivers answered, by the value's id; what does not open is left out. A cut character is replaced."""
    wanted = [attempt.answer_id for attempt in attempts if attempt.answer_id is not None]
    if not wanted:
        return {}
    answers: dict[UUID, str] = {}
    for blob in Blob.objects.filter(tenant_id=tenant_id, id__in=wanted):
        try:
            opened = open_blob(tenant_id, kind=ANSWER, blob_id=blob.id, sealed=bytes(blob.sealed))
        except Unreadable:
            log_event("blob_unreadable", level="error", tenant_id=tenant_id, code=Unreadable.code)
            continue
        answers[blob.id] = opened.decode("utf-8", "replace")
    log_event("answers_opened", tenant_id=tenant_id, count=len(answers))
    return answers
