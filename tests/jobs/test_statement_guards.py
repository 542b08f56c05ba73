"""Each statement is safe by itself: without the lock before it, a wrong state or a wrong epoch gets zero rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from jobservice.ids import new_id
from jobservice.jobs import ending, rescue
from jobservice.jobs.ending import End
from jobservice.jobs.models import Lane, Queue
from jobservice.jobs.states import FINAL_STATES, STATES, UNSTARTED_STATES, WAITING_STATES
from jobservice.statements import run_statement
from tests.factories import Tenant
from tests.jobs.dispatching import WORKER
from tests.jobs.lives import BECOMING, Life, everything, make_life, move_clock, undone

pytestmark = [pytest.mark.django_db, pytest.mark.deep]

SQL = Path(rescue.__file__).resolve().parent / "sql"
Parameters = Callable[[Life, int], Mapping[str, Any]]


def _job(life: Life, epoch: int) -> dict[str, Any]:
    return {"tenant": life.tenant.id, "job": life.id, "epoch": epoch}


def _jobs(life: Life, epoch: int) -> dict[str, Any]:
    return {"tenants": [life.tenant.id], "jobs": [life.id], "epochs": [epoch]}


def _limit(_life: Life, _epoch: int) -> dict[str, Any]:
    return {"limit": 10}


def _lease(life: Life, epoch: int) -> dict[str, Any]:
    return {**_jobs(life, epoch), "worker": WORKER, "group": new_id(), "lease_seconds": 30}


def _claim(life: Life, _epoch: int) -> dict[str, Any]:
    lanes = list(Lane.objects.filter(tenant_id=life.tenant.id).values_list("id", flat=True))
    given = {"lanes": lanes, "looks": [20] * len(lanes), "most": [10] * len(lanes), "key_concurrency": [1] * len(lanes)}
    return {"tenants": [life.tenant.id], "lease_seconds": 30, **given}


def _pause(life: Life, _epoch: int) -> dict[str, Any]:
    Queue.objects.filter(tenant_id=life.tenant.id).update(paused_at=Now())
    return {"tenant": life.tenant.id, "queue": None}


def _end(sources: Any) -> Parameters:
    def parameters(life: Life, epoch: int) -> dict[str, Any]:
        end = End(life.tenant.id, life.id, epoch, "cancelled", error_code="cancelled")
        return {**ending._columns([end]), "sources": list(sources)}

    return parameters


def _requeue(life: Life, epoch: int) -> dict[str, Any]:
    facts = {"states": ["available"], "delays": [0.0], "crashes": [0], "attempts": [0], "epochs_spent": [1]}
    nothing = {name: [None] for name in ("reasons", "error_codes", "errors", "error_groups")}
    return {**_jobs(life, epoch), **facts, **nothing}


def _change(life: Life, epoch: int) -> dict[str, Any]:
    new = {"priority": 3, "is_moved": False, "run_at": None, "delay_seconds": 0, "tags": None, "max_attempts": None}
    return {**_job(life, epoch), **new, "priority_step_seconds": 60}


def _retry(life: Life, epoch: int) -> dict[str, Any]:
    return {**_job(life, epoch), "priority_step_seconds": 60, "lane": 1}


def _hand_over(life: Life, epoch: int) -> dict[str, Any]:
    return {**_jobs(life, epoch), "worker": WORKER, "seconds": [60.0]}


def _extend(life: Life, epoch: int) -> dict[str, Any]:
    return {**_job(life, epoch), "seconds": 60, "timeout_seconds": 60}


def _report(life: Life, epoch: int) -> dict[str, Any]:
    return {**_job(life, epoch), "worker": WORKER, "percent": 5.0, "progress": new_id(), "log": None}


RUNS = ("executing",)
# Statement: its parameters, the states in which it finds the job, and whether it asks for the epoch.
GUARDS: dict[str, tuple[Parameters, tuple[str, ...], bool]] = {
    "claim_jobs": (_claim, ("available",), False),
    "return_paused": (_pause, ("dispatched",), False),
    "return_claims": (_jobs, ("dispatched",), True),
    "start_jobs": (_lease, ("dispatched",), True),
    "renew_leases": (_lease, RUNS, True),
    "lock_executing": (_jobs, RUNS, True),
    "requeue_jobs": (_requeue, RUNS, True),
    "end_jobs": (_end(RUNS), RUNS, True),
    "end_jobs, unstarted": (_end(UNSTARTED_STATES), UNSTARTED_STATES, True),
    "request_cancel": (_job, RUNS, True),
    "reap_dispatched": (_limit, ("dispatched",), False),
    "lock_ended_leases": (_limit, RUNS, False),
    "stage_due_jobs": (_limit, ("scheduled", "retryable"), False),
    "lock_expired_jobs": (_limit, ("scheduled", "available", "dispatched"), False),
    "resume_held_jobs": (_limit, ("suspended",), False),
    "hand_over_runs": (_hand_over, RUNS, True),
    "extend_lease": (_extend, RUNS, True),
    "lock_run": (_report, RUNS, True),
    "note_report": (_report, RUNS, True),
    "lock_waiting_job": (_job, WAITING_STATES, False),
    "change_job": (_change, WAITING_STATES, False),
    "retry_waiting_job": (_retry, ("retryable", "suspended"), True),
    "lock_ended_job": (_job, FINAL_STATES, False),
    "retry_ended_job": (_retry, FINAL_STATES, False),
    "erase_job": (_job, FINAL_STATES, False),
}
TIMED = ("reap_dispatched", "lock_ended_leases", "stage_due_jobs", "lock_expired_jobs")
# It finds the run, but the wish is known already.
SILENT = {
    ("request_cancel", "executing, asked to stop"),
    # Held after its crashes, which no switch of a type lets go.
    ("resume_held_jobs", "suspended by crashes"),
}
# Whoever settles such a run ends its job: the database refuses that it waits with the wish upon it.
REFUSED = {("requeue_jobs", "executing, asked to stop")}


@pytest.mark.parametrize("how", BECOMING)
def test_a_statement_finds_a_job_in_its_states_only_and_under_its_epoch(tenant: Tenant, how: str) -> None:
    life = make_life(tenant, how)
    for name, (parameters, states, has_epoch) in GUARDS.items():
        path = SQL / f"{name.split(',')[0]}.sql"
        with undone():
            if name in TIMED:
                move_clock()
            given = parameters(life, life.epoch)
            before = everything()
            for epoch in (life.old.epoch, life.epoch + 1) if has_epoch else ():
                assert run_statement(path, parameters(life, epoch)) == [], f"{name} of another epoch"
            assert everything() == before, f"{name} of another epoch"
            if (name, how) in REFUSED:
                with pytest.raises(IntegrityError), transaction.atomic():
                    run_statement(path, given)
                continue
            rows = run_statement(path, given)
            # A claim answers a row without a job for one that it saw and did not take.
            found = [row for row in rows if getattr(row, "job_id", life.id) is not None]
            is_found = BECOMING[how][0] in states and (name, how) not in SILENT
            assert bool(found) == is_found, f"{name} of a job that is {how}"
            assert is_found or everything() == before, f"{name} of a job that is {how}"


def test_a_statement_of_every_lock_and_move_is_tried() -> None:
    """A new one that names a state is entered above."""
    named = {
        path.stem
        for path in SQL.glob("*.sql")
        if any(f"'{state}'" in path.read_text() for state in STATES) and "CREATE " not in path.read_text()
    }
    moving = {stem for stem in named if any(word in (SQL / f"{stem}.sql").read_text() for word in ("UPDATE", "DELETE"))}
    lanes = {"deactivate_lanes", "lock_idle_lanes", "lock_shares", "reopen_shares", "reopen_lanes", "unpark_jobs"}
    assert moving - lanes - {"no_illegal_rows", "whole_life", "schema"} <= {name.split(",")[0] for name in GUARDS}


def test_nothing_is_found_before_its_time(tenant: Tenant) -> None:
    for how in ("scheduled", "dispatched", "executing", "retryable"):
        with transaction.atomic():
            life = make_life(tenant, how)
            for name in TIMED:
                assert run_statement(SQL / f"{name}.sql", {"limit": 10}) == [], f"{name} of a job that is {how}"
            assert life.epoch >= 1
            transaction.set_rollback(True)
