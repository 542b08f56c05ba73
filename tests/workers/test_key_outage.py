"""While the root key is out of reach no job is lost or counted: what cannot be opened or sealed is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from jobservice.egress.client import EgressClient
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.outcomes import Outcome
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.selectors import find_job
from jobservice.webhooks.models import LiveDelivery
from tenants.data_keys import forget_opened_keys
from tenants.models import DataKey
from tests.crypto.vault_server import VaultServer
from tests.crypto.vault_use import restart, vault_installation
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import WORKER, claim, job_uuid, live, outcome_of, start
from tests.races.conftest import committed  # noqa: F401 (a fixture)
from tests.webhooks.test_deliveries import claim as claim_delivery
from tests.workers.commits import every_connection_as_worker
from workers import egress_work, executor
from workers.board import Board
from workers.egress_work import Deliveries, HttpJobs, Postponed
from workers.executor import Executor
from workers.executors import http


@pytest.fixture
def vault(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultServer]:
    for module in (executor, egress_work, http):
        monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
    monkeypatch.setattr(executor, "wake_dispatcher", lambda: None)
    with vault_installation() as server:
        yield server


@pytest.fixture
def tenant(vault: VaultServer) -> Tenant:
    return make_tenant()


def lose_keys(server: VaultServer) -> None:
    """Vault is away, and this process has opened nothing before."""
    restart()
    server.stop()


def given_back(job: dict[str, Any]) -> tuple[str, int, int]:
    """State, attempt and crashes of a live job."""
    row = live(job)
    return row.state, row.attempt, row.crash_count


def test_a_handlers_job_that_cannot_be_opened_is_given_back_uncounted_and_runs_later(
    committed: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "AWAY_SECONDS", 0.0)
    monkeypatch.setattr(executor, "wake_dispatcher", lambda: None)
    board = Board(seats=1, handlers=["echo"])
    with vault_installation() as server:
        runner = Executor(board.seat(0), worker_id=lambda: WORKER, lease_seconds=60)
        job = make_job(make_tenant(), type="echo", payload={"n": 1})
        refs = claim()
        lose_keys(server)
        with every_connection_as_worker():
            runner.run_group(refs)
        assert given_back(job) == ("available", 0, 0)
        server.start()
        runner.run_group(claim())
        runner.stop()
        ended = Job.objects.get(id=job_uuid(job))
        assert (ended.final_state, set(Attempt.objects.values_list("outcome", flat=True))) == (
            "completed",
            {"released", "completed"},
        )


def test_a_result_that_cannot_be_sealed_gives_the_job_back_and_spares_its_neighbours(
    vault: VaultServer, tenant: Tenant
) -> None:
    other = make_tenant()
    mine, theirs = make_job(tenant), make_job(other)
    jobs = {job.tenant_id: job for job in start(claim())}
    restart()
    find_job(other.id, job_uuid(theirs), include=("payload",))
    vault.stop()
    report = record_outcomes([outcome_of(job, result=b"1") for job in jobs.values()])
    assert report.recorded == 2
    assert given_back(mine) == ("available", 0, 0)
    assert not LiveJob.objects.filter(job_id=job_uuid(theirs)).exists()
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"released", "completed"}


def test_an_http_job_that_cannot_be_opened_is_given_back_uncounted(vault: VaultServer, tenant: Tenant) -> None:
    job = make_job(tenant, type="http.request", payload={"url": "http://127.0.0.1:9/"})
    lose_keys(vault)
    jobs = HttpJobs(no_client(), lease_seconds=30)
    ((_, run),) = jobs.start(claim(pool="egress"), worker_id=WORKER)
    end = asyncio.run(jobs.send(run))
    assert isinstance(end, Outcome)
    jobs.record([end])
    assert given_back(job) == ("available", 0, 0)


def test_a_delivery_that_cannot_be_opened_is_given_back_with_no_try_counted(vault: VaultServer, tenant: Tenant) -> None:
    make_job(tenant, callback_url="http://127.0.0.1:9/")
    (started,) = start(claim())
    record_outcomes([outcome_of(started, result=b"1")])
    lose_keys(vault)
    deliveries = Deliveries(no_client(), lease_seconds=30)
    ((_, postponed),) = deliveries.start(claim_delivery(), worker_id=WORKER)
    assert isinstance(postponed, Postponed)
    deliveries.record([asyncio.run(deliveries.send(postponed))])
    row = LiveDelivery.objects.get()
    assert (row.state, row.attempt, row.earlier_attempts) == ("pending", 0, 0)
    vault.start()
    ((_, run),) = deliveries.start(claim_delivery(), worker_id=WORKER)
    assert not isinstance(run, Postponed)
    assert run.call is not None


def test_keys_that_were_opened_before_go_on_serving_the_workers(
    vault: VaultServer, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobservice.crypto.vault_keys.FRESH_SECONDS", 0.0)
    job = make_job(tenant)
    forget_opened_keys()
    vault.stop()
    (started,) = start(claim())
    record_outcomes([outcome_of(started, result=b"1")])
    assert not LiveJob.objects.filter(job_id=job_uuid(job)).exists()
    assert DataKey.objects.filter(tenant_id=tenant.id).count() == 2


def no_client() -> EgressClient:
    """Nothing is sent."""
    return cast(EgressClient, None)
