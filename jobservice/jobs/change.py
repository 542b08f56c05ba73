"""Change: what a client may still alter of a job that waits.

1. Lock the live row, if the job waits.
2. Under that lock, in one statement: write the new values and where the job waits now.
3. When something is different now, tell the timeline what, by name; wake the lane when the job became available.
A job that a worker has been claimed for is not touched: its run must not change under it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.errors import Conflict, Fault, Invalid, JobserviceError, NotFound
from jobservice.field_checks import Fields
from jobservice.ids import JOB, show_id
from jobservice.jobs.job_search import read_job
from jobservice.jobs.lanes import activate_lanes
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.options import MAX_ATTEMPTS, MAX_PRIORITY
from jobservice.jobs.selectors import show_job
from jobservice.jobs.states import PRIORITY_STEP_SECONDS, WAITING_STATES
from jobservice.jobs.story import tell_story
from jobservice.jobs.submission import read_due, read_tags
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
UPDATED = "job.updated"
_FIELDS = frozenset({"priority", "run_at", "delay_seconds", "tags", "max_attempts"})


class JobNotWaiting(Conflict):
    """The job is claimed, runs or is over."""

    code = "job-not-waiting"


@dataclass(frozen=True, slots=True)
class JobChange:
    """New values; None: as it was. `tags` replace all tags of the job."""

    priority: int | None = None
    run_at: datetime | None = None
    delay_seconds: int | None = None
    tags: dict[str, str] | None = None
    max_attempts: int | None = None

    @property
    def is_moved(self) -> bool:
        return self.run_at is not None or self.delay_seconds is not None


def parse_change(raw: object) -> JobChange:
    """The change in a parsed JSON body. Raises `Invalid` with every fault; a body that changes nothing is one."""
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=_FIELDS)
    change = JobChange(
        priority=fields.integer("priority", low=0, high=MAX_PRIORITY),
        **read_due(fields),
        tags=None if raw.get("tags") is None else read_tags(fields),
        max_attempts=fields.integer("max_attempts", low=1, high=MAX_ATTEMPTS),
    )
    if not fields.faults and change == JobChange():
        fields.faults.append(Fault("", "required", f"Give at least one of {', '.join(sorted(_FIELDS))}."))
    if fields.faults:
        raise Invalid(fields.faults)
    return change


def change_job(tenant_id: UUID, job_id: UUID, change: JobChange) -> dict[str, Any]:
    """Alter the job and answer it as the API shows it.

    Raises `NotFound`, `JobNotWaiting`, and `Invalid` for a limit of attempts that the job has used up already.
    """
    with tenant_tx(tenant_id):
        # A second statement sees what was committed while the first one waited for the lock.
        held = run_statement(_SQL / "lock_waiting_job.sql", {"tenant": tenant_id, "job": job_id})
        moved = run_statement(_SQL / "change_job.sql", _parameters(tenant_id, job_id, change)) if held else []
        row = read_job(tenant_id, job_id)
        if not moved or row is None:
            raise _refusal(row, change)
        if moved[0].changed:
            tell_story(tenant_id, job_id, UPDATED, details={"changed": moved[0].changed})
        if moved[0].state == "available":
            activate_lanes([moved[0].lane_id])
        # On commit, so that the dispatcher sees the new time, however long it meant to sleep.
        transaction.on_commit(wake_dispatcher)
        shown = show_job(tenant_id, job_id)
        note_act(tenant_id, "job.updated", show_id(JOB, job_id), after=moved[0])
    log_event("job_changed", tenant_id=tenant_id, job_id=job_id, state=row.state)
    return shown


def _parameters(tenant_id: UUID, job_id: UUID, change: JobChange) -> dict[str, Any]:
    return {
        "tenant": tenant_id,
        "job": job_id,
        "priority": change.priority,
        "priority_step_seconds": PRIORITY_STEP_SECONDS,
        "is_moved": change.is_moved,
        "run_at": change.run_at,
        "delay_seconds": change.delay_seconds or 0,
        "tags": None if change.tags is None else json.dumps(change.tags),
        "max_attempts": change.max_attempts,
    }


def _refusal(row: Any | None, change: JobChange) -> JobserviceError:
    """Why nothing was altered, as far as a second look can tell: the job may have moved on in between."""
    if row is None:
        return NotFound("There is no job of this id.")
    failures = row.attempt - row.crash_count
    if row.state in WAITING_STATES and change.max_attempts is not None and change.max_attempts <= failures:
        detail = f"max_attempts must be more than {failures}, for the job has been tried so often already."
        return Invalid([Fault("/max_attempts", "out-of-range", detail)])
    return JobNotWaiting("The job does not wait any more: it is claimed, runs or is over.")
