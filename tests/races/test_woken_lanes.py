"""Whoever makes a job available wakes its lane, or it would wait there for ever: no claim looks into a sleeping one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs.claims import return_claims, stage_due_jobs
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.models import Lane, LiveJob
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.type_switch import resume_held_jobs
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, outcome_of, record, start
from tests.jobs.throttling import let_go, put_endpoint, throttle, wait_out
from tests.roles import as_role

_PAST = Now() - timedelta(seconds=1)


def _by_staging(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant, delay_seconds=3600)
    LiveJob.objects.update(due_at=_PAST)
    return _as("dispatcher", stage_due_jobs)


def _by_giving_a_claim_back(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant)
    refs = claim()
    return _as("dispatcher", lambda: return_claims(refs))


def _by_reaping_a_claim(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant)
    claim()
    LiveJob.objects.update(lease_until=_PAST)
    return _as("dispatcher", reap_leases)


def _by_reaping_a_run(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant)
    start(claim())
    LiveJob.objects.update(lease_until=_PAST)
    return _as("dispatcher", reap_leases)


def _by_recording_a_crash(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant)
    (started,) = start(claim())
    return lambda: record(outcome_of(started, "crashed", error_code="crashed"))


def _by_giving_a_run_back(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant)
    refs = claim()
    start(refs)
    return _as("worker", lambda: release_jobs(refs, worker_id=WORKER))


def _by_resuming(tenant: Tenant) -> Callable[[], Any]:
    make_job(tenant)
    LiveJob.objects.update(state="suspended", suspended_reason="type-disabled")
    return _as("dispatcher", resume_held_jobs)


def _by_an_endpoints_return(tenant: Tenant) -> Callable[[], Any]:
    put_endpoint(tenant)
    throttle(tenant)
    make_job(tenant, type="work.do")
    assert claim(pool="egress") == []
    wait_out(60)
    return let_go


def _as(role: str, call: Callable[[], Any]) -> Callable[[], Any]:
    def act() -> None:
        with as_role(role):
            call()

    return act


@pytest.mark.parametrize(
    "prepare",
    [
        _by_staging,
        _by_giving_a_claim_back,
        _by_reaping_a_claim,
        _by_reaping_a_run,
        _by_recording_a_crash,
        _by_giving_a_run_back,
        _by_resuming,
        _by_an_endpoints_return,
    ],
    ids=lambda prepare: prepare.__name__.removeprefix("_by_"),
)
def test_a_job_that_becomes_available_is_claimed_though_its_lane_slept(racing_tenant: Tenant, prepare: Any) -> None:
    act = prepare(racing_tenant)
    Lane.objects.update(is_active=False)
    act()
    assert len(claim() + claim(pool="egress")) == 1
