"""The end of a job, whoever brings it: its live row goes, its row is written for the last time, its unique key is
free, its one event is told, and it is counted.

In the caller's transaction, which has locked the live rows. Each end is guarded by the job's epoch and by the states
that it may come from: a job that has moved on is left as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.ids import new_id
from jobservice.jobs.notifier import wake_waiters
from jobservice.jobs.representation import represent_job
from jobservice.jobs.states import FinalState, State
from jobservice.jobs.unique_claims import release_ended
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.events import NewEvent, insert_events

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class End:
    """How a job ends. `finished_at` and `last_started_at` are those of its last run; None: it ends now, without one."""

    tenant_id: UUID
    job_id: UUID
    epoch: int
    state: FinalState
    last_started_at: datetime | None = None
    finished_at: datetime | None = None
    crashes: int = 0
    result_id: UUID | None = None
    error_code: str | None = None
    error_id: UUID | None = None
    error_group_id: UUID | None = None
    event_id: UUID = field(default_factory=new_id)


def end_jobs(ends: Sequence[End], *, sources: Collection[State]) -> list[Any]:
    """End those of the jobs that are still under their epoch in one of these states; the rows of those that were.

    In the end the caller frees their slots (`limits.free_slots`) with whatever else it frees, and after that counts
    them out (`usage.count_ended`).
    """
    if not ends:
        return []
    rows = run_statement(_SQL / "end_jobs.sql", {**_columns(ends), "sources": list(sources)})
    crash_point("record.ended")
    release_ended(rows)
    # On commit, so that whoever waits for the end finds it.
    transaction.on_commit(wake_waiters)
    insert_events([_event(row) for row in rows])
    return rows


def tell_ended_without_run(rows: Iterable[Any]) -> None:
    """The events of jobs that ended while they waited, after the commit. A run's end is told by who settled it."""
    for row in rows:
        names = {"tenant_id": row.tenant_id, "job_id": row.id, "executor": row.executor}
        log_event("job_ended", **names, state=row.final_state, code=row.error_code)


def _columns(ends: Sequence[End]) -> dict[str, Any]:
    return {
        "tenants": [end.tenant_id for end in ends],
        "jobs": [end.job_id for end in ends],
        "epochs": [end.epoch for end in ends],
        "states": [end.state for end in ends],
        "last_started": [end.last_started_at for end in ends],
        "finished": [end.finished_at for end in ends],
        "crashes": [end.crashes for end in ends],
        "results": [end.result_id for end in ends],
        "error_codes": [end.error_code for end in ends],
        "errors": [end.error_id for end in ends],
        "error_groups": [end.error_group_id for end in ends],
        "events": [end.event_id for end in ends],
    }


def _event(row: Any) -> NewEvent:
    facts: Any = SimpleNamespace(**row._asdict(), state=row.final_state, cancel_requested=False, progress_percent=None)
    return NewEvent(
        id=row.end_event_id,
        tenant_id=row.tenant_id,
        job_id=row.id,
        type=f"job.{row.final_state}",
        job=represent_job(facts),
        epoch=row.epoch,
        result_id=row.result_id,
        error_id=row.error_id,
        metadata_id=row.metadata_id,
        callback_id=row.callback_id,
    )
