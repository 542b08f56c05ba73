"""A retry at the same moment as whatever else happens to the job: it runs again once, under one new epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models.functions import Now

from jobservice.errors import NotFound
from jobservice.jobs.cancel import JobTerminal, cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.claims import claim_jobs, stage_due_jobs
from jobservice.jobs.erase import JobNotTerminal, erase_job
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.models import Attempt, Job, Lane, LiveJob
from jobservice.jobs.outcomes import StartedJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.retry import retry_job
from jobservice.webhooks.models import Event
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, job_uuid, outcome_of, record, start
from tests.races.acting import acting, asking, ends_of, state_after, told
from tests.races.falling_asleep import FallingAsleep
from tests.roles import as_role

Race = Callable[..., list[Any]]
ROUNDS = 12


def ended(tenant: Tenant, **fields: Any) -> tuple[Any, StartedJob]:
    """A job that is over, and the run that ended it."""
    job = make_job(tenant, **fields)
    (started,) = start(claim())
    record(outcome_of(started))
    return job_uuid(job), started


def failed(tenant: Tenant) -> Any:
    """A job that waits for its backoff."""
    job = make_job(tenant, retry={"initial_seconds": 3600})
    record(outcome_of(start(claim())[0], "failed", error_code="handler-error", error_message="no"))
    return job_uuid(job)


def test_of_ten_retries_at_once_one_is_done(racing_tenant: Tenant, race: Race) -> None:
    job_id, _ = ended(racing_tenant)
    refusals = race("web", *[asking(retry_job, racing_tenant.id, job_id)] * 10)
    assert Counter(refusals) == {None: 1, JobNotTerminal: 9}
    assert (state_after(job_id), LiveJob.objects.get().epoch) == ("available", 2)
    assert told(job_id) == ["job.completed", "job.retried"]


def test_of_ten_retries_of_a_waiting_job_one_is_done(racing_tenant: Tenant, race: Race) -> None:
    job_id = failed(racing_tenant)
    refusals = race("web", *[asking(retry_job, racing_tenant.id, job_id)] * 10)
    assert Counter(refusals) == {None: 1, JobNotTerminal: 9}
    assert (state_after(job_id), LiveJob.objects.get().epoch) == ("available", 2)


def test_a_job_is_erased_or_runs_again_and_never_half_of_each(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id, _ = ended(racing_tenant, tags={"a": "1"})
        retried, erased = race(
            "web", asking(retry_job, racing_tenant.id, job_id), asking(erase_job, racing_tenant.id, job_id)
        )
        assert (retried, erased) in ((None, JobNotTerminal), (NotFound, None))
        if retried is None:
            assert (state_after(job_id), ends_of(job_id)) == ("available", 1)
        else:
            for table in (LiveJob, Attempt, Event):
                assert not table.objects.filter(job_id=job_id).exists(), table
            assert not Job.objects.filter(id=job_id).exists()
        LiveJob.objects.all().delete()


def test_a_retry_and_a_cancel_of_a_waiting_job_come_one_after_the_other(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = failed(racing_tenant)
        assert race(
            "web", asking(retry_job, racing_tenant.id, job_id), asking(cancel_job, racing_tenant.id, job_id)
        ) == [None, None]
        expected = {
            "cancelled": ["job.retried", "job.cancelled"],
            "available": ["job.cancelled", "job.retried"],
        }
        assert told(job_id) == expected[state_after(job_id)]
        LiveJob.objects.all().delete()


def test_a_retry_and_a_cancel_of_a_job_that_is_over_leave_one_story(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id, _ = ended(racing_tenant)
        retried, cancelled = race(
            "web", asking(retry_job, racing_tenant.id, job_id), asking(cancel_job, racing_tenant.id, job_id)
        )
        assert retried is None
        assert cancelled in (None, JobTerminal)
        assert state_after(job_id) == ("available" if cancelled else "cancelled")
        assert ends_of(job_id) == (1 if cancelled else 2)
        LiveJob.objects.all().delete()


def test_a_job_becomes_due_or_is_retried_but_is_available_once(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = failed(racing_tenant)
        LiveJob.objects.update(due_at=Now() - timedelta(seconds=1))
        retried, staged = race(
            "owner", asking(retry_job, racing_tenant.id, job_id), acting("dispatcher", stage_due_jobs)
        )
        # Staging skips a row that somebody holds; the retry waits for it.
        assert (retried, staged) in ((None, 0), (JobNotTerminal, 1))
        assert (state_after(job_id), LiveJob.objects.get().epoch) == ("available", 2 if retried is None else 1)
        LiveJob.objects.all().delete()


def test_a_change_and_a_retry_come_one_after_the_other(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = failed(racing_tenant)
        retried, changed = race(
            "web",
            asking(retry_job, racing_tenant.id, job_id),
            asking(change_job, racing_tenant.id, job_id, JobChange(delay_seconds=7200)),
        )
        assert (retried, changed) == (None, None)
        # Retried and then put off, or put off and then retried.
        assert state_after(job_id) == ("scheduled" if told(job_id)[-1] == "job.updated" else "available")
        LiveJob.objects.all().delete()


def test_an_old_worker_writes_nothing_over_a_job_that_is_retried(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        make_job(racing_tenant)
        refs = claim()
        (given_back,) = start(refs)
        with as_role("worker"):
            release_jobs(refs, worker_id=WORKER)
        (last,) = start(claim())
        record(outcome_of(last, "failed", is_permanent=True, error_code="handler-error"))
        late = [outcome_of(given_back, result=b'"late"'), outcome_of(last, result=b'"late"')]

        def take_and_run() -> list[StartedJob]:
            with as_role("dispatcher"):
                taken = [claimed.ref for claimed in claim_jobs("handlers", limit=1, lease_seconds=30)]
            return start(taken)

        retried, report, _ = race(
            "owner",
            asking(retry_job, racing_tenant.id, last.job_id),
            acting("worker", record_outcomes, late),
            take_and_run,
        )
        assert (retried, report.recorded, len(report.lost)) == (None, 0, 2)
        assert state_after(last.job_id) in ("available", "executing")
        assert Attempt.objects.filter(job_id=last.job_id).count() == 2
        assert told(last.job_id) == ["job.discarded", "job.retried"]
        LiveJob.objects.all().delete()


def test_no_retried_job_is_left_in_a_sleeping_lane(
    racing_tenant: Tenant, race: Race, falling_asleep: FallingAsleep
) -> None:
    ids = [ended(racing_tenant)[0] for _ in range(40)]
    retries = [partial(retry_job, racing_tenant.id, job_id) for job_id in ids]
    slept, retried = race(
        "owner",
        acting("dispatcher", falling_asleep.put_to_sleep),
        acting("web", falling_asleep.meanwhile, retries),
    )
    assert retried == 40
    assert slept > 0
    claim()
    assert set(LiveJob.objects.values_list("state", flat=True)) == {"dispatched"}


def test_jobs_whose_lane_is_gone_are_retried_at_once_into_one(racing_tenant: Tenant, race: Race) -> None:
    ids = [ended(racing_tenant)[0] for _ in range(8)]
    Lane.objects.all().delete()
    assert set(race("web", *[asking(retry_job, racing_tenant.id, job_id) for job_id in ids])) == {None}
    assert Lane.objects.count() == 1
    assert len(claim()) == 8
