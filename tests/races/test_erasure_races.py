"""A tenant is erased while its jobs are submitted, claimed, run and recorded: nothing is left and nobody is stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from psycopg import sql

from jobservice.errors import Conflict, SealingError
from jobservice.ids import new_id
from jobservice.jobs import erasure
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.erasure import erase_tenant
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.models import Job
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from jobservice.statements import run_statement
from jobservice.webhooks.delivery_claims import claim_deliveries
from tenants.models import Tenant
from tests.factories import Tenant as MadeTenant
from tests.factories import make_job, make_submission, make_tenant
from tests.jobs.dispatching import outcome_of

Race = Callable[..., list[Any]]


def rows_of(tenant: MadeTenant) -> dict[str, int]:
    counts = {}
    with connection.cursor() as cursor:
        for table in run_statement(erasure._SQL / "owned_tables.sql", {}):
            cursor.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(sql.Identifier(table.name)), [tenant.id]
            )
            counts[table.name] = cursor.fetchone()[0]
    return {table: count for table, count in counts.items() if count}


@pytest.fixture
def as_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The erasure is not told to this process's cache, whose opened keys live on for up to a second."""
    monkeypatch.setattr(erasure, "forget_opened_keys", lambda _tenant_id: None)


@pytest.mark.parametrize("attempt", range(3))
def test_a_tenant_erased_in_the_middle_of_its_work_leaves_nothing_and_holds_up_nobody(
    committed: None, race: Race, as_another_process: None, attempt: int
) -> None:
    doomed, neighbour = make_tenant(), make_tenant()
    over, refused = threading.Event(), threading.Event()
    under_way = doomed_submits, neighbour_submits, jobs_end = [threading.Event() for _ in range(3)]

    def submit(tenant: MadeTenant, until: threading.Event, is_under_way: threading.Event) -> Callable[[], int]:
        def run() -> int:
            count = 0
            while not until.is_set():
                queue, told = f"q{count % 40}", {"callback_url": "http://127.0.0.1:9/", "tags": {"n": "1"}}
                try:
                    accept_job(tenant.id, make_submission(queue=queue, unique={"key": f"{count}"}, **told))
                except (Conflict, SealingError):
                    refused.set()
                    break
                count += 1
                if count == 20:
                    is_under_way.set()
            return count

        return run

    def work() -> int:
        done, number = 0, 0
        while not over.is_set():
            refs = [claim.ref for claim in claim_jobs("handlers", limit=10, lease_seconds=30)]
            started = start_jobs(refs, worker_id=new_id(), group_id=new_id(), lease_seconds=30) if refs else []
            outcomes = [
                outcome_of(job) if (number := number + 1) % 3 else outcome_of(job, "crashed", error_code="crashed")
                for job in started
            ]
            done += record_outcomes(outcomes).recorded
            if done:
                jobs_end.set()
            reap_leases()
            claim_deliveries(5, lease_seconds=30)
        return done

    def erase() -> Any:
        try:
            assert all(begun.wait(timeout=30) for begun in under_way)
            done = erase_tenant(doomed.id, progress=lambda _: None)
            assert refused.wait(timeout=30)
            return done
        finally:
            over.set()

    doomed_jobs, neighbours_jobs, first, second, done = race(
        "owner",
        submit(doomed, threading.Event(), doomed_submits),
        submit(neighbour, over, neighbour_submits),
        work,
        work,
        erase,
    )
    assert doomed_jobs > 0
    assert neighbours_jobs > 0
    assert first + second > 0
    assert rows_of(doomed) == {}
    assert done.removed["job"] == doomed_jobs
    assert Tenant.objects.get(id=doomed.id).status == "erased"
    assert Job.objects.filter(tenant_id=neighbour.id).count() == neighbours_jobs


@pytest.mark.parametrize("unique", [None, {"key": "k"}, {"key": "k", "on_conflict": "replace"}])
def test_an_accept_that_makes_its_lane_and_the_erasure_never_both_win(
    committed: None, race: Race, as_another_process: None, unique: Any
) -> None:
    """The first job of a queue waits for the erasure at the tenant itself, for it has no lane to wait at."""
    for _ in range(8):
        tenant = make_tenant()

        def accept(tenant: MadeTenant = tenant) -> str:
            try:
                accept_job(tenant.id, make_submission(unique=unique))
            except (Conflict, SealingError):
                return "refused"
            return "accepted"

        def erase(tenant: MadeTenant = tenant) -> Any:
            return erase_tenant(tenant.id, progress=lambda _: None)

        accepted, done = race("owner", accept, erase)
        assert rows_of(tenant) == {}
        assert done.removed.get("job", 0) == (accepted == "accepted")


def test_two_erasures_at_once_both_end_and_leave_nothing(racing_tenant: MadeTenant, race: Race) -> None:
    for number in range(50):
        make_job(racing_tenant, queue=f"q{number}")
    erase = [lambda: erase_tenant(racing_tenant.id, progress=lambda _: None)] * 2
    first, second = race("owner", *erase)
    assert rows_of(racing_tenant) == {}
    assert first.removed.get("job", 0) + second.removed.get("job", 0) == 50
    with pytest.raises(SealingError):
        make_job(racing_tenant)
