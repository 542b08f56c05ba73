"""Leases, deadlines and due times are the database's clock's alone: a machine whose own clock is wrong hurts no job."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from jobservice.jobs.claims import return_claims, stage_due_jobs
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.leases import renew_leases
from jobservice.jobs.models import LiveJob, UniqueClaim
from jobservice.jobs.rescue import Reaped, reap_leases
from jobservice.jobs.unique_claims import prune_unique_claims
from jobservice.webhooks.deliveries import reap_deliveries, renew_deliveries, start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.models import LiveDelivery
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, record, start
from tests.roles import as_role

OURS = ("jobservice", "tenants", "api", "workers")
LEASE_SECONDS = 30.0
_PAST = Now() - timedelta(seconds=1)
UNDER_WAY = Reaped(returned=0, crashed=0, timed_out=0, suspended=0)


@pytest.fixture(params=[-6, 6], ids=["hours-behind", "hours-ahead"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, racing_tenant: Tenant) -> None:
    """Our processes' clock is hours off, wherever they look at it; the database's is right."""
    shift = timedelta(hours=request.param)

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + shift

        @classmethod
        def utcnow(cls) -> Any:
            return datetime.now(UTC).replace(tzinfo=None) + shift

    right_time = time.time
    monkeypatch.setattr(time, "time", lambda: right_time() + shift.total_seconds())
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) + shift)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", WrongDatetime)


def lease_of(row: Any) -> float:
    """How many seconds are left, by the database's clock, which is this machine's."""
    assert row.lease_until is not None
    left: timedelta = row.lease_until - datetime.now(UTC)
    return left.total_seconds()


@pytest.mark.usefixtures("wrong_clock")
def test_a_lease_is_as_long_as_it_says(racing_tenant: Tenant) -> None:
    job = make_job(racing_tenant)
    refs = claim(lease_seconds=LEASE_SECONDS)
    assert 0 < lease_of(live(job)) <= LEASE_SECONDS
    start(refs, lease_seconds=LEASE_SECONDS)
    assert 0 < lease_of(live(job)) <= LEASE_SECONDS
    with as_role("worker"):
        renew_leases(refs, worker_id=WORKER, lease_seconds=2 * LEASE_SECONDS)
    assert LEASE_SECONDS < lease_of(live(job)) <= 2 * LEASE_SECONDS


@pytest.mark.usefixtures("wrong_clock")
def test_a_living_lease_is_not_taken_and_a_dead_one_is(racing_tenant: Tenant) -> None:
    claimed = make_job(racing_tenant)
    claim()
    running = make_job(racing_tenant)
    start(claim())
    with as_role("dispatcher"):
        assert reap_leases() == UNDER_WAY
    end_lease(claimed)
    end_lease(running)
    with as_role("dispatcher"):
        assert reap_leases() == Reaped(returned=1, crashed=1, timed_out=0, suspended=0)


@pytest.mark.usefixtures("wrong_clock")
def test_a_job_is_due_and_expires_when_the_database_says_so(racing_tenant: Tenant) -> None:
    later = make_job(racing_tenant, delay_seconds=3600)
    hurried = make_job(racing_tenant, delay_seconds=3600, start_deadline_seconds=3600)
    with as_role("dispatcher"):
        assert (stage_due_jobs(), expire_jobs()) == (0, 0)
    LiveJob.objects.update(due_at=_PAST)
    with as_role("dispatcher"):
        assert (stage_due_jobs(), expire_jobs()) == (2, 0)
        LiveJob.objects.filter(start_deadline_at__isnull=False).update(start_deadline_at=_PAST)
        assert expire_jobs() == 1
    assert live(later).state == "available"
    assert not LiveJob.objects.filter(job_id=job_uuid(hurried)).exists()


@pytest.mark.usefixtures("wrong_clock")
def test_a_backoff_is_as_long_as_the_policy_says(racing_tenant: Tenant) -> None:
    job = make_job(racing_tenant, retry={"strategy": "fixed", "initial_seconds": 60, "jitter": 0})
    record(outcome_of(start(claim())[0], "failed", error_code="no"))
    row = live(job)
    assert row.state == "retryable"
    assert 0 < (row.due_at - datetime.now(UTC)).total_seconds() <= 60


@pytest.mark.usefixtures("wrong_clock")
def test_a_job_is_too_old_to_be_tried_again_when_the_database_says_so(racing_tenant: Tenant) -> None:
    policy = {"strategy": "fixed", "initial_seconds": 60, "jitter": 0}
    young = make_job(racing_tenant, retry={**policy, "max_age_seconds": 3600})
    old = make_job(racing_tenant, retry={**policy, "max_age_seconds": 30})
    record(*[outcome_of(job, "failed", error_code="no") for job in start(claim())])
    assert live(young).state == "retryable"
    assert not LiveJob.objects.filter(job_id=job_uuid(old)).exists()


@pytest.mark.usefixtures("wrong_clock")
def test_a_unique_key_is_held_until_the_database_says_so(racing_tenant: Tenant) -> None:
    job = make_job(racing_tenant, unique={"key": "k", "period_seconds": 3600})
    record(outcome_of(start(claim())[0]))
    with as_role("dispatcher"):
        assert prune_unique_claims() == 0
    assert make_job(racing_tenant, unique={"key": "k"})["id"] == job["id"]
    UniqueClaim.objects.update(expires_at=_PAST)
    other = make_job(racing_tenant, unique={"key": "k", "period_seconds": 3600})
    assert other["id"] != job["id"]
    record(outcome_of(start(claim())[0]))
    UniqueClaim.objects.update(expires_at=_PAST)
    with as_role("dispatcher"):
        assert prune_unique_claims() == 1


@pytest.mark.usefixtures("wrong_clock")
def test_a_delivery_is_due_and_leased_by_the_database(racing_tenant: Tenant) -> None:
    make_job(racing_tenant, callback_url="http://127.0.0.1:9/")
    record(outcome_of(start(claim())[0]))
    with as_role("dispatcher"):
        refs = claim_deliveries(10, lease_seconds=LEASE_SECONDS)
        assert reap_deliveries() == 0
    assert 0 < lease_of(LiveDelivery.objects.get()) <= LEASE_SECONDS
    with as_role("worker"):
        assert len(start_deliveries(refs, worker_id=WORKER, lease_seconds=LEASE_SECONDS)) == 1
        renew_deliveries(refs, worker_id=WORKER, lease_seconds=2 * LEASE_SECONDS)
    assert LEASE_SECONDS < lease_of(LiveDelivery.objects.get()) <= 2 * LEASE_SECONDS
    with as_role("dispatcher"):
        assert reap_deliveries() == 0


@pytest.mark.usefixtures("wrong_clock")
def test_a_claim_that_is_given_back_can_be_claimed_at_once(racing_tenant: Tenant) -> None:
    make_job(racing_tenant)
    with as_role("dispatcher"):
        assert return_claims(claim()) == 1
    assert len(claim()) == 1
