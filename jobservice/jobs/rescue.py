"""Rescue: jobs whose lease ended come back. Run by the dispatcher, any number of them at once.

A claim that nobody started: its message was lost, nothing is counted. A run whose worker fell silent: a crash is
counted and kept as an attempt. A run that its endpoint was to complete later, and did not: its time is up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.jobs.limits import free_slots
from jobservice.jobs.settle import Settlement, settle_without_outcome, tell_settled
from jobservice.logs import log_event
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
REAP_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Reaped:
    """How many jobs came back: never started, run by a worker that died, not completed in time; and of all: held."""

    returned: int
    crashed: int
    timed_out: int
    suspended: int


def reap_leases() -> Reaped:
    """Take back jobs whose lease ended, at most `REAP_LIMIT` of each kind."""
    returned = _return_unstarted()
    settled = _settle_silent()
    for item in settled:
        tell_settled(item)
    kinds = [item.outcome.kind for item in settled]
    suspended = sum(item.next.state == "suspended" for item in settled)
    return Reaped(returned, kinds.count("crashed"), kinds.count("timed-out"), suspended)


def _return_unstarted() -> int:
    with transaction.atomic():
        rows = run_statement(_SQL / "reap_dispatched.sql", {"limit": REAP_LIMIT})
        free_slots(rows, available=[row.lane_id for row in rows])
        if rows:
            crash_point("reap.before_return")
    for row in rows:
        crash_point("reap.returned")
        log_event("lease_expired", level="debug", tenant_id=row.tenant_id, job_id=row.job_id, state="dispatched")
    return len(rows)


def _settle_silent() -> list[Settlement]:
    with transaction.atomic():
        rows = run_statement(_SQL / "lock_ended_leases.sql", {"limit": REAP_LIMIT})
        settled = settle_without_outcome(rows, kind_of=lambda row: "timed-out" if row.is_async else "crashed")
        if rows:
            crash_point("reap.before_commit")
    for row in rows:
        crash_point("reap.after_commit")
        names = {"tenant_id": row.tenant_id, "job_id": row.job_id, "epoch": row.epoch}
        # An endpoint that does not complete its job is the tenant's to mend.
        log_event("lease_expired", level="info" if row.is_async else "warning", **names, state="executing")
    return settled
