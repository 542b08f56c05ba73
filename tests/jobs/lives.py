"""Jobs in every state that there is, each brought there by the product's own verbs, and all that is stored of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, transaction

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.claims import stage_due_jobs
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.outcomes import StartedJob
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, job_uuid, outcome_of, record, start
from tests.roles import as_role

_TABLES = (
    "job",
    "job_live",
    "attempt",
    "event",
    "delivery",
    "delivery_live",
    "blob",
    "job_tag",
    "lane",
    "queue",
    "unique_claim",
)
_EVERYTHING = " UNION ALL ".join(f"SELECT '{table}', t::text FROM {table} t" for table in _TABLES) + " ORDER BY 1, 2"
FRAGILE = "fragile"


@dataclass(frozen=True, slots=True)
class Life:
    """A job, the epoch it is under, and a run of it under an epoch that is over."""

    tenant: Tenant
    job: dict[str, Any]
    epoch: int
    old: StartedJob

    @property
    def id(self) -> UUID:
        return job_uuid(self.job)

    def ref(self, epoch: int) -> Ref:
        return Ref(self.tenant.id, self.id, epoch)

    def run(self, epoch: int) -> StartedJob:
        """What a worker would hold that ran the job under this epoch."""
        row = LiveJob.objects.filter(job_id=self.id).first()
        old = self.old if row is None else replace(self.old, attempt=row.attempt, crash_count=row.crash_count)
        return replace(old, epoch=epoch)


def _run(kind: Any, **fields: Any) -> None:
    (started,) = start(claim())
    assert record(outcome_of(started, kind, **fields)).recorded == 1


def _be_available(_life: Life) -> None:
    pass


def _be_scheduled(life: Life) -> None:
    with as_role("web"):
        change_job(life.tenant.id, life.id, JobChange(delay_seconds=600))


def _be_dispatched(_life: Life) -> None:
    claim()


def _be_executing(_life: Life) -> None:
    start(claim())


def _be_asked_to_stop(life: Life) -> None:
    start(claim())
    with as_role("web"):
        cancel_job(life.tenant.id, life.id)


def _be_on_the_brink(_life: Life) -> None:
    for _ in range(2):
        _run("crashed")
    start(claim())


def _be_at_the_last_try(_life: Life) -> None:
    for _ in range(2):
        _run("failed", error_code="handler-error")
        move_clock()
        with as_role("dispatcher"):
            assert stage_due_jobs() == 1
    start(claim())


def _be_retryable(_life: Life) -> None:
    _run("failed", error_code="handler-error", error_message="no")


def _be_suspended(_life: Life) -> None:
    for _ in range(3):
        _run("crashed")


def _be_held(_life: Life) -> None:
    refs = claim()
    start(refs)
    with as_role("worker"):
        assert release_jobs(refs, worker_id=WORKER, hold_reason="type-disabled") == 1


def _be_completed(_life: Life) -> None:
    _run("completed")


def _be_discarded(_life: Life) -> None:
    _run("failed", error_code="handler-error", error_message="no", is_permanent=True)


def _be_cancelled(life: Life) -> None:
    with as_role("web"):
        cancel_job(life.tenant.id, life.id)


# Ways to be in a state that differ in what comes next.
BECOMING: dict[str, tuple[str, Callable[[Life], None]]] = {
    "scheduled": ("scheduled", _be_scheduled),
    "available": ("available", _be_available),
    "dispatched": ("dispatched", _be_dispatched),
    "executing": ("executing", _be_executing),
    "executing, asked to stop": ("executing", _be_asked_to_stop),
    "executing, crashed twice": ("executing", _be_on_the_brink),
    "executing, the last try": ("executing", _be_at_the_last_try),
    "executing, discarded by a crash": ("executing", _be_executing),
    "retryable": ("retryable", _be_retryable),
    "suspended by crashes": ("suspended", _be_suspended),
    "suspended with its type": ("suspended", _be_held),
    "completed": ("completed", _be_completed),
    "discarded": ("discarded", _be_discarded),
    "cancelled": ("cancelled", _be_cancelled),
}


def make_life(tenant: Tenant, how: str) -> Life:
    """A job in the state of this name, which had an earlier run that its worker gave back."""
    with as_role("web"):
        put_job_type(tenant.id, FRAGILE, {"executor": "handler", "handler": "echo", "on_crash": "discard"})
        job = make_job(
            tenant,
            type=FRAGILE if how == "executing, discarded by a crash" else "echo",
            max_attempts=3,
            retry={"strategy": "fixed", "initial_seconds": 600, "jitter": 0},
            start_deadline_seconds=3600,
            callback_url="http://127.0.0.1:9/done",
            tags={"a": "1"},
            unique={"key": str(new_id())},
        )
    refs = claim()
    (old,) = start(refs)
    with as_role("worker"):
        assert release_jobs(refs, worker_id=WORKER) == 1
    state, become = BECOMING[how]
    become(Life(tenant, job, old.epoch + 1, old))
    row = LiveJob.objects.filter(job_id=job_uuid(job)).first()
    ended = Job.objects.get(id=job_uuid(job))
    assert (row.state if row else ended.final_state) == state
    return Life(tenant, job, row.epoch if row else ended.epoch, old)


def move_clock(hours: int = 2) -> None:
    """Two hours later for whatever is due, leased or to be started by a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job_live SET due_at = due_at - d, lease_until = lease_until - d, "
            "start_deadline_at = start_deadline_at - d FROM make_interval(hours => %s) AS d",
            [hours],
        )


def everything() -> list[tuple[str, str]]:
    """Whole rows of all that a verb could change."""
    # Prepared, because planning over all partitions takes longer than the verb under test.
    with psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(_EVERYTHING, prepare=True).fetchall()


@contextmanager
def undone() -> Iterator[None]:
    """What is done inside is undone after it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
