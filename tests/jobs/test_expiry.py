"""A job that did not start by its deadline is cancelled; one that did is left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.models import Job, LiveJob
from jobservice.webhooks.models import Delivery, Event
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, job_uuid, live, outcome_of, record, start
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def expire() -> int:
    with as_role("dispatcher"):
        return expire_jobs()


def pass_deadline() -> None:
    LiveJob.objects.update(start_deadline_at=Now() - timedelta(seconds=1))


def test_a_waiting_job_past_its_deadline_is_cancelled_as_expired(tenant: Tenant) -> None:
    job = make_job(tenant, start_deadline_seconds=60, callback_url="http://127.0.0.1:9/done")
    assert expire() == 0
    pass_deadline()
    assert expire() == 1
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.error_code, row.attempt) == ("cancelled", "expired", 0)
    event = Event.objects.get()
    assert (event.type, (event.job or {})["error"]["code"]) == ("job.cancelled", "expired")
    assert Delivery.objects.get().event_id == event.id


def test_the_deadline_counts_from_when_the_job_is_due_and_moves_with_it(tenant: Tenant) -> None:
    job = make_job(tenant, delay_seconds=100, start_deadline_seconds=60)
    assert live(job).start_deadline_at == live(job).due_at + timedelta(seconds=60)
    with as_role("web"):
        change_job(tenant.id, job_uuid(job), JobChange(delay_seconds=5000))
    assert live(job).start_deadline_at == live(job).due_at + timedelta(seconds=60)


def test_a_claimed_job_past_its_deadline_does_not_start_and_expires(tenant: Tenant) -> None:
    make_job(tenant, start_deadline_seconds=60)
    refs = claim()
    pass_deadline()
    assert start(refs) == []
    assert expire() == 1


def test_a_job_that_started_in_time_goes_on_whatever_happens_later(tenant: Tenant) -> None:
    job = make_job(tenant, start_deadline_seconds=60, retry={"initial_seconds": 0})
    (started,) = start(claim())
    pass_deadline()
    assert expire() == 0
    record(outcome_of(started, "failed", error_code="handler-error"))
    assert expire() == 0
    LiveJob.objects.update(state="available", available_at=F("due_at"))
    assert len(start(claim())) == 1
    assert live(job).attempt == 2


def test_a_job_that_began_in_time_outlives_the_stop_of_its_worker(tenant: Tenant) -> None:
    job = make_job(tenant, start_deadline_seconds=60)
    refs = claim()
    start(refs)
    pass_deadline()
    with as_role("worker"):
        assert release_jobs(refs, worker_id=WORKER) == 1
    assert expire() == 0
    assert len(start(claim())) == 1
    assert (live(job).state, live(job).attempt) == ("executing", 1)


def test_a_job_given_back_before_its_deadline_is_still_to_begin_by_then(tenant: Tenant) -> None:
    make_job(tenant, start_deadline_seconds=60)
    refs = claim()
    start(refs)
    with as_role("worker"):
        assert release_jobs(refs, worker_id=WORKER) == 1
    pass_deadline()
    assert expire() == 1


def test_jobs_without_a_deadline_never_expire(tenant: Tenant, other_tenant: Tenant) -> None:
    made: list[dict[str, Any]] = [make_job(tenant), make_job(other_tenant, start_deadline_seconds=3600)]
    assert expire() == 0
    assert LiveJob.objects.count() == len(made)
