"""What is done for a run of which nothing came: its worker died, gave it back, or its endpoint never completed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from jobservice.crypto.message_mac import Ref
from jobservice.jobs import leases
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.claims import return_claims
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.leases import release_jobs, renew_leases
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.outcomes import StartedJob
from jobservice.jobs.rescue import Reaped, reap_leases
from jobservice.webhooks.models import Delivery, Event
from tenants.context import tenants_tx
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, record, start
from tests.metering import Moment
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def make_run(tenant: Tenant, **fields: Any) -> tuple[dict[str, Any], StartedJob]:
    job = make_job(tenant, **fields)
    (started,) = start(claim())
    return job, started


def let_it_complete_later(job: dict[str, Any]) -> None:
    """As its endpoint said."""
    LiveJob.objects.filter(job_id=job_uuid(job)).update(is_async=True)


def reap(*jobs: dict[str, Any]) -> Reaped:
    for job in jobs:
        end_lease(job)
    with as_role("dispatcher"):
        return reap_leases()


def release(started: StartedJob, reason: Any = None) -> int:
    with as_role("worker"):
        refs = [Ref(started.tenant_id, started.job_id, started.epoch)]
        return release_jobs(refs, worker_id=WORKER, hold_reason=reason)


def make_fragile(tenant: Tenant) -> None:
    with as_role("web"):
        put_job_type(tenant.id, "fragile", {"executor": "handler", "handler": "echo", "on_crash": "discard"})


def test_a_run_that_was_not_completed_in_time_timed_out_and_is_tried_again(tenant: Tenant) -> None:
    job, started = make_run(tenant, retry={"initial_seconds": 3600})
    let_it_complete_later(job)
    assert reap(job) == Reaped(returned=0, crashed=0, timed_out=1, suspended=0)
    row = live(job)
    assert (row.state, row.attempt, row.crash_count, row.error_code) == ("retryable", 1, 0, "timed-out")
    assert (row.is_async, row.worker_id, row.epoch) == (False, None, started.epoch)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_code, attempt.number) == ("timed-out", "timed-out", 1)


def test_the_last_run_that_was_not_completed_in_time_discards_its_job(tenant: Tenant) -> None:
    job, _ = make_run(tenant, max_attempts=1, callback_url="http://127.0.0.1:9/done")
    let_it_complete_later(job)
    assert reap(job).timed_out == 1
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.error_code, row.crash_count) == ("discarded", "timed-out", 0)
    assert (Event.objects.get().type, Delivery.objects.get().event_id) == ("job.discarded", row.end_event_id)


def test_a_run_that_completes_later_is_no_workers_to_give_back(tenant: Tenant) -> None:
    job, started = make_run(tenant)
    let_it_complete_later(job)
    assert release(started) == 0
    assert live(job).state == "executing"


@pytest.mark.parametrize("how", ["reaped", "recorded"])
def test_a_crash_ends_a_job_whose_type_says_so_and_is_told(tenant: Tenant, how: str) -> None:
    make_fragile(tenant)
    job, started = make_run(tenant, type="fragile", callback_url="http://127.0.0.1:9/done")
    if how == "reaped":
        assert reap(job).crashed == 1
    else:
        record(outcome_of(started, "crashed", error_code="crashed"))
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.error_code, row.crash_count, row.attempt) == ("discarded", "crashed", 1, 1)
    event = Event.objects.get()
    assert (event.type, event.epoch, (event.job or {})["error"]["code"]) == ("job.discarded", 1, "crashed")
    assert Delivery.objects.get().event_id == event.id == row.end_event_id
    assert Attempt.objects.get().outcome == "crashed"


def test_a_type_that_says_discard_after_the_submission_does_not_change_the_job(tenant: Tenant) -> None:
    with as_role("web"):
        put_job_type(tenant.id, "fragile", {"executor": "handler", "handler": "echo", "on_crash": "retry"})
    job, _ = make_run(tenant, type="fragile")
    make_fragile(tenant)
    assert reap(job).crashed == 1
    assert live(job).state == "available"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_cancelled_run_of_which_nothing_came_is_cancelled(tenant: Tenant, is_async: bool) -> None:
    job, _ = make_run(tenant, callback_url="http://127.0.0.1:9/done")
    if is_async:
        let_it_complete_later(job)
    with as_role("web"):
        cancel_job(tenant.id, job_uuid(job))
    reap(job)
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.error_code, row.crash_count) == ("cancelled", "cancelled", 0 if is_async else 1)
    # That its worker died is told; a run that was only late was cut short.
    assert Attempt.objects.get().outcome == ("cancelled" if is_async else "crashed")
    assert list(Event.objects.order_by("at", "id").values_list("type", flat=True)) == [
        "job.cancel_requested",
        "job.cancelled",
    ]
    assert Delivery.objects.count() == 1


def test_a_cancelled_run_that_its_worker_gives_back_is_cancelled(tenant: Tenant) -> None:
    job, started = make_run(tenant)
    with as_role("web"):
        cancel_job(tenant.id, job_uuid(job))
    assert release(started) == 1
    assert Job.objects.get(id=job_uuid(job)).final_state == "cancelled"
    assert Attempt.objects.get().outcome == "cancelled"


def test_a_run_given_back_is_kept_as_an_attempt_that_counts_nothing(tenant: Tenant) -> None:
    job, started = make_run(tenant, max_attempts=1)
    assert release(started) == 1
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.number, attempt.epoch, attempt.error_code) == ("released", 1, 1, None)
    assert (attempt.worker_id, attempt.finished_at >= attempt.started_at) == (WORKER, True)
    row = live(job)
    assert (row.attempt, row.epoch, row.first_started_at, row.error_code) == (0, 2, None, None)
    (again,) = start(claim())
    assert (again.attempt, again.epoch) == (1, 3)
    record(outcome_of(again))
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["completed", "released"]


def test_a_run_given_back_leaves_the_error_of_the_run_before_it(tenant: Tenant) -> None:
    job, started = make_run(tenant, retry={"initial_seconds": 0, "jitter": 0})
    record(outcome_of(started, "failed", error_code="handler-error", error_message="no"))
    LiveJob.objects.update(state="available")
    before = live(job)
    (again,) = start(claim())
    release(again)
    after = live(job)
    assert (after.error_code, after.error_id, after.error_epoch) == ("handler-error", before.error_id, 1)
    assert after.first_started_at == before.first_started_at, "it has been run once"


def test_a_run_given_back_to_be_held_is_held_with_its_reason_and_told(tenant: Tenant) -> None:
    job, started = make_run(tenant, callback_url="http://127.0.0.1:9/done")
    assert release(started, "type-disabled") == 1
    row = live(job)
    assert (row.state, row.suspended_reason, row.attempt, row.epoch) == ("suspended", "type-disabled", 0, 2)
    event = Event.objects.get()
    assert (event.type, event.details) == ("job.suspended", {"reason": "type-disabled"})
    assert not Delivery.objects.exists(), "nothing has ended"


def test_the_third_crash_is_told_on_the_timeline(tenant: Tenant) -> None:
    job = make_job(tenant)
    moment = Moment()
    for _ in range(3):
        start(claim())
        reaped = reap(job)
    assert reaped == Reaped(returned=0, crashed=1, timed_out=0, suspended=1)
    event = Event.objects.get()
    assert (event.type, event.details, (event.job or {})["state"]) == (
        "job.suspended",
        {"reason": "crashes"},
        "suspended",
    )
    assert moment.moved("jobservice_jobs_suspended_total", reason="crashes") == 1
    assert moment.moved("jobservice_runs_recorded_total", executor="handler", outcome="crashed") == 3


def test_each_kind_is_counted_apart_in_one_turn(tenant: Tenant, other_tenant: Tenant) -> None:
    lost, silent, late = (make_job(owner) for owner in (tenant, other_tenant, tenant))
    refs = claim()
    start([ref for ref in refs if ref.id != job_uuid(lost)])
    let_it_complete_later(late)
    assert reap(lost, silent, late) == Reaped(returned=1, crashed=1, timed_out=1, suspended=0)
    assert reap() == Reaped(0, 0, 0, 0)


def test_what_a_run_reported_stays_with_its_attempt(tenant: Tenant) -> None:
    job, _ = make_run(tenant)
    LiveJob.objects.filter(job_id=job_uuid(job)).update(progress_percent=40)
    reap(job)
    assert (Attempt.objects.get().progress_percent, live(job).progress_percent) == (40, None)


@pytest.mark.parametrize("kind", ["job", "claim", "start", "renewal", "release"])
def test_each_write_that_lost_its_claim_says_so_and_is_counted(tenant: Tenant, kind: str) -> None:
    job, started = make_run(tenant)
    reap(job)
    ref = Ref(started.tenant_id, started.job_id, started.epoch)
    moment = Moment()
    with as_role("dispatcher" if kind == "claim" else "worker"):
        says = {
            "job": lambda: record(outcome_of(started)).recorded,
            "claim": lambda: return_claims([ref]),
            "start": lambda: len(start([ref])),
            "renewal": lambda: len(renew_leases([ref], worker_id=WORKER, lease_seconds=30).kept),
            "release": lambda: release(started),
        }[kind]()
    assert says == 0
    assert moment.moved("jobservice_stale_writes_refused_total", kind=kind) == 1


def test_a_write_that_is_taken_is_not_counted_as_refused(tenant: Tenant) -> None:
    moment = Moment()
    make_job(tenant)
    with as_role("dispatcher"):
        assert return_claims(claim()) == 1
    refs = claim()
    (started,) = start(refs)
    with as_role("worker"):
        assert renew_leases(refs, worker_id=WORKER, lease_seconds=30).kept
    assert release(started) == 1
    record(outcome_of(start(claim())[0]))
    assert "jobservice_stale_writes_refused_total" not in set(moment.all_moved())


@pytest.mark.parametrize("how", ["released", "recorded"])
def test_a_run_that_is_named_twice_is_settled_once(tenant: Tenant, how: str) -> None:
    job, started = make_run(tenant)
    if how == "released":
        with as_role("worker"):
            refs = [Ref(started.tenant_id, started.job_id, started.epoch)] * 2
            assert release_jobs(refs, worker_id=WORKER) == 1
    else:
        report = record(outcome_of(started, "failed", error_code="handler-error"), outcome_of(started))
        assert (report.recorded, report.lost) == (1, ())
        assert Job.objects.get(id=job_uuid(job)).final_state == "completed"
    assert Attempt.objects.count() == 1


def test_a_message_that_names_a_job_under_two_epochs_starts_it_once(tenant: Tenant) -> None:
    make_job(tenant)
    old = claim()
    with as_role("dispatcher"):
        return_claims(old)
    assert len(start([*old, *claim(), *old])) == 1


@pytest.fixture
def lost_answers(monkeypatch: pytest.MonkeyPatch) -> list[OperationalError]:
    """Each of these is raised in place of the server's answer to a commit that was carried out."""
    lost: list[OperationalError] = []
    real = tenants_tx

    @contextmanager
    def cut_off(tenant_ids: Iterable[UUID]) -> Iterator[None]:
        with real(tenant_ids):
            yield
        if lost:
            raise lost.pop()

    monkeypatch.setattr(leases, "tenants_tx", cut_off)
    return lost


def test_a_start_whose_commit_was_not_answered_is_undone_and_counts_nothing(
    tenant: Tenant, lost_answers: list[OperationalError]
) -> None:
    make_fragile(tenant)
    job = make_job(tenant, type="fragile")
    refs = claim()
    lost_answers.append(OperationalError("the connection was lost"))
    with pytest.raises(OperationalError):
        start(refs)
    row = live(job)
    assert (row.state, row.attempt, row.crash_count, row.epoch) == ("available", 0, 0, 2)
    assert len(start(claim())) == 1


def test_a_start_that_was_not_answered_undoes_no_other_start_of_the_same_message(
    tenant: Tenant, lost_answers: list[OperationalError]
) -> None:
    job = make_job(tenant)
    refs = claim()
    assert len(start(refs)) == 1
    lost_answers.append(OperationalError("the connection was lost"))
    with pytest.raises(OperationalError):
        start(refs)
    assert (live(job).state, live(job).epoch) == ("executing", 1)
