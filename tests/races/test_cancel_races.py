"""A cancel at the same moment as whatever else happens to the job: one end, one event, whoever comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.cancel import JobTerminal, cancel_job
from jobservice.jobs.change import JobChange, JobNotWaiting, change_job
from jobservice.jobs.claims import claim_jobs, return_claims, stage_due_jobs
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.leases import release_jobs, renew_leases, start_jobs
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from jobservice.webhooks.models import Event
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, start
from tests.races.acting import acting, asking, ends_of, state_after, told

Race = Callable[..., list[Any]]
ROUNDS = 12


def begin(refs: list[Ref]) -> int:
    return len(start_jobs(refs, worker_id=WORKER, group_id=new_id(), lease_seconds=30))


def give_back(refs: list[Ref]) -> int:
    return release_jobs(refs, worker_id=WORKER)


def test_a_cancelled_job_is_not_run_by_whoever_claims_it(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make_job(racing_tenant))
        refused, taken = race(
            "owner",
            asking(cancel_job, racing_tenant.id, job_id),
            acting("dispatcher", lambda: claim_jobs("handlers", limit=5, lease_seconds=30)),
        )
        assert (refused, state_after(job_id), ends_of(job_id)) == (None, "cancelled", 1)
        assert start([claimed.ref for claimed in taken]) == []


def test_a_job_is_cancelled_before_its_start_or_asked_to_stop_after_it(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make_job(racing_tenant))
        refused, started = race("owner", asking(cancel_job, racing_tenant.id, job_id), acting("worker", begin, claim()))
        assert refused is None
        if started:
            assert LiveJob.objects.get(job_id=job_id).cancel_requested
            assert told(job_id) == ["job.cancel_requested"]
        else:
            assert (state_after(job_id), told(job_id)) == ("cancelled", ["job.cancelled"])
        LiveJob.objects.all().delete()


def test_a_run_that_ends_while_it_is_cancelled_has_one_end(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make_job(racing_tenant))
        (started,) = start(claim())
        refused, report = race(
            "owner",
            asking(cancel_job, racing_tenant.id, job_id),
            acting("worker", record_outcomes, [outcome_of(started)]),
        )
        assert (report.recorded, ends_of(job_id)) == (1, 1)
        assert state_after(job_id) == ("cancelled" if refused is None else "completed")
        assert refused in (None, JobTerminal)
        assert (Job.objects.get(id=job_id).result_id is None) == (refused is None)


def _due(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant, delay_seconds=600)
    LiveJob.objects.filter(job_id=job_uuid(job)).update(due_at=Now() - timedelta(seconds=1))
    return job


def _lost_message(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant)
    claim()
    end_lease(job)
    return job


def _silent_run(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant)
    start(claim())
    end_lease(job)
    return job


@pytest.mark.parametrize(
    ("make", "chore", "kept"),
    [(_due, stage_due_jobs, []), (_lost_message, reap_leases, []), (_silent_run, reap_leases, ["crashed"])],
)
def test_what_the_dispatcher_does_for_a_job_delays_no_cancel(
    racing_tenant: Tenant, race: Race, make: Any, chore: Any, kept: list[str]
) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make(racing_tenant))
        refused, _ = race("owner", asking(cancel_job, racing_tenant.id, job_id), acting("dispatcher", chore))
        # Whoever had the row first, the cancel ends the job or the run's end does; a chore that skipped it comes again.
        acting("owner", chore)()
        assert (refused, state_after(job_id), ends_of(job_id)) == (None, "cancelled", 1)
        assert list(Attempt.objects.filter(job_id=job_id).values_list("outcome", flat=True)) == kept


def test_a_job_that_expires_while_it_is_cancelled_ends_once(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make_job(racing_tenant, start_deadline_seconds=60))
        LiveJob.objects.update(start_deadline_at=Now() - timedelta(seconds=1))
        refused, expired = race(
            "owner", asking(cancel_job, racing_tenant.id, job_id), acting("dispatcher", expire_jobs)
        )
        assert (refused, expired) in ((None, 0), (JobTerminal, 1))
        assert Job.objects.get(id=job_id).error_code == ("expired" if expired else "cancelled")
        assert (state_after(job_id), ends_of(job_id)) == ("cancelled", 1)


def test_a_run_given_back_while_it_is_cancelled_is_cancelled(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make_job(racing_tenant))
        refs = claim()
        start(refs)
        refused, released = race(
            "owner", asking(cancel_job, racing_tenant.id, job_id), acting("worker", give_back, refs)
        )
        assert (refused, released, state_after(job_id), ends_of(job_id)) == (None, 1, "cancelled", 1)
        # A run that was given back before the cancel had been released, not cancelled.
        outcome = Attempt.objects.get(job_id=job_id).outcome
        assert outcome == ("cancelled" if "job.cancel_requested" in told(job_id) else "released")


def test_a_change_and_a_cancel_leave_a_cancelled_job(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job_id = job_uuid(make_job(racing_tenant))
        refused, changed = race(
            "owner",
            asking(cancel_job, racing_tenant.id, job_id),
            asking(change_job, racing_tenant.id, job_id, JobChange(delay_seconds=600, tags={"a": "1"})),
        )
        assert (refused, state_after(job_id), ends_of(job_id)) == (None, "cancelled", 1)
        assert changed in (None, JobNotWaiting)
        assert told(job_id)[:-1] == (["job.updated"] if changed is None else [])
        assert Job.objects.get(id=job_id).tags == ({"a": "1"} if changed is None else {})


def test_of_ten_cancels_at_once_one_ends_the_job(racing_tenant: Tenant, race: Race) -> None:
    job_id = job_uuid(make_job(racing_tenant, callback_url="http://127.0.0.1:9/"))
    refusals = race("web", *[asking(cancel_job, racing_tenant.id, job_id)] * 10)
    assert Counter(refusals) == {None: 1, JobTerminal: 9}
    assert told(job_id) == ["job.cancelled"]


def test_ten_cancels_of_one_run_ask_it_once(racing_tenant: Tenant, race: Race) -> None:
    job = make_job(racing_tenant)
    start(claim())
    assert set(race("web", *[asking(cancel_job, racing_tenant.id, job_uuid(job))] * 10)) == {None}
    assert (live(job).cancel_requested, told(job_uuid(job))) == (True, ["job.cancel_requested"])


def test_every_verb_at_once_on_many_jobs_neither_blocks_nor_loses_one(racing_tenant: Tenant, race: Race) -> None:
    """The order of locks: live rows by id, then the job's row, then lanes by id. A ring would be a deadlock."""
    for _ in range(3):
        jobs = [make_job(racing_tenant, queue=f"q{number % 5}") for number in range(40)]
        refs = claim()
        started = start(refs[::2])
        for job in jobs[::3]:
            end_lease(job)
        ids = [job_uuid(job) for job in jobs]
        runs = [Ref(run.tenant_id, run.job_id, run.epoch) for run in started]

        def cancel_each(ids: Any = ids) -> None:
            for job_id in reversed(ids[::4]):
                asking(cancel_job, racing_tenant.id, job_id)()

        race(
            "owner",
            cancel_each,
            acting("worker", record_outcomes, [outcome_of(run) for run in started[::-1]]),
            acting("worker", give_back, runs),
            acting("worker", lambda runs=runs: renew_leases(runs[::-1], worker_id=WORKER, lease_seconds=30)),
            acting("worker", begin, refs[::-1]),
            acting("dispatcher", return_claims, refs[::-1]),
            acting("dispatcher", reap_leases),
            acting("dispatcher", lambda: claim_jobs("handlers", limit=40, lease_seconds=30)),
        )
        for job_id in ids:
            assert ends_of(job_id) == (state_after(job_id) in ("completed", "cancelled"))
        assert Event.objects.filter(type="job.suspended").count() == 0
        LiveJob.objects.all().delete()
