"""Events: what happened to a job, written in the transaction that makes it true, with the deliveries it causes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.ids import new_id
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to store. `job` is the job as the API shows it, without anything sealed; those parts are named by id."""

    id: UUID
    tenant_id: UUID
    job_id: UUID
    type: str
    job: dict[str, Any]
    epoch: int
    result_id: UUID | None
    error_id: UUID | None
    metadata_id: UUID | None
    callback_id: UUID | None
    # What the timeline tells besides the job; nothing sealed.
    details: dict[str, Any] | None = None


def insert_events(events: Sequence[NewEvent]) -> None:
    """Store the events and, for each with a callback, its delivery, due at once. In the caller's transaction."""
    if not events:
        return
    columns = ("id", "tenant_id", "job_id", "type", "epoch", "result_id", "error_id", "metadata_id")
    parameters: dict[str, Any] = {column: [getattr(event, column) for event in events] for column in columns}
    parameters["job"] = [json.dumps(event.job) for event in events]
    parameters["details"] = [None if event.details is None else json.dumps(event.details) for event in events]
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
