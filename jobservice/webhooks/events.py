"""Events: what happened to a job or to a tenant, written in the transaction that makes it true, with the deliveries it
causes: one to the job's own callback, and one to each endpoint of the tenant that wants to be told.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.ids import new_id
from jobservice.statements import run_statement
from jobservice.webhooks.event_types import ALL, EVENT_TYPES

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to store. `job` is the job as the API shows it, without anything sealed; those parts are named by id.

    One that is of no job is told by its `details` alone.
    """

    id: UUID
    tenant_id: UUID
    type: str
    job_id: UUID | None = None
    job: dict[str, Any] | None = None
    epoch: int | None = None
    result_id: UUID | None = None
    error_id: UUID | None = None
    metadata_id: UUID | None = None
    callback_id: UUID | None = None
    # What the event tells besides the job; nothing sealed.
    details: dict[str, Any] | None = None


def insert_events(events: Sequence[NewEvent]) -> None:
    """Store the events and their deliveries, due at once. In the caller's transaction."""
    if not events:
        return
    columns = ("id", "tenant_id", "job_id", "type", "epoch", "result_id", "error_id", "metadata_id")
    parameters: dict[str, Any] = {column: [getattr(event, column) for event in events] for column in columns}
    parameters["job"] = [_document(event.job) for event in events]
    parameters["details"] = [_document(event.details) for event in events]
    parameters["tellable"] = list(EVENT_TYPES)
    run_statement(_SQL / "insert_events.sql", parameters)
    told = [event for event in events if event.callback_id is not None]
    if told:
        parameters = {
            "id": [new_id() for _ in told],
            "tenant_id": [event.tenant_id for event in told],
            "event_id": [event.id for event in told],
            "job_id": [event.job_id for event in told],
            "callback_id": [event.callback_id for event in told],
        }
        run_statement(_SQL / "insert_deliveries.sql", parameters)


def tell_tenant(tenant_id: UUID, type_: str, details: dict[str, Any]) -> None:
    """Tell the tenant's endpoints of something that is of no job, in the caller's transaction."""
    insert_events([NewEvent(id=new_id(), tenant_id=tenant_id, type=type_, details=details)])


def tell_endpoint(tenant_id: UUID, endpoint_id: UUID, type_: str, details: dict[str, Any]) -> UUID:
    """Tell this endpoint alone, in the caller's transaction; the delivery's id.

    The type is one that no endpoint can ask for, such as `webhook.test`.
    """
    event = NewEvent(id=new_id(), tenant_id=tenant_id, type=type_, details=details)
    insert_events([event])
    delivery_id = new_id()
    parameters = {"id": delivery_id, "tenant": tenant_id, "event": event.id, "endpoint": endpoint_id}
    run_statement(_SQL / "insert_endpoint_delivery.sql", parameters)
    return delivery_id


def find_listening(tenants: Collection[UUID], type_: str) -> frozenset[UUID]:
    """Those of the tenants of which an endpoint wants to be told of events of this type."""
    parameters = {"tenants": sorted(set(tenants)), "wanted": [type_, ALL]}
    return frozenset(row.tenant_id for row in run_statement(_SQL / "find_listening.sql", parameters))


def _document(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)
