"""Record: outcomes are written once, in groups, and only under the epoch that ran the job."""

from __future__ import annotations

import pytest
from django.db import InternalError, connection

from jobservice.errors import Unavailable
from jobservice.jobs import record as recording
from jobservice.jobs.leases import release_jobs, renew_leases
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.states import FINAL_STATES
from jobservice.webhooks.models import Delivery, Event, LiveDelivery
from tenants.blobs import SealedBlob, open_blob
from tenants.data_keys import forget_opened_keys
from tenants.models import Blob, DataKey
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, no_writes, outcome_of, record, start
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def test_a_completed_job_ends_with_one_event_and_its_sealed_result(tenant: Tenant) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    assert record(outcome_of(started, result=b'{"words":3}')).recorded == 1
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.attempt, row.epoch) == ("completed", 1, 1)
    assert not LiveJob.objects.filter(job_id=row.id).exists()
    event = Event.objects.get(job_id=row.id)
    assert (event.type, event.id, (event.job or {})["state"]) == ("job.completed", row.end_event_id, "completed")
    assert row.result_id is not None
    blob = Blob.objects.get(id=row.result_id)
    assert b"words" not in bytes(blob.sealed)
    with as_role("worker"):
        opened = open_blob(tenant.id, kind="result", blob_id=blob.id, sealed=bytes(blob.sealed), epoch=blob.epoch)
    assert opened == b'{"words":3}'
    assert Attempt.objects.get(job_id=row.id).outcome == "completed"


def test_only_a_job_with_a_callback_gets_a_delivery(tenant: Tenant) -> None:
    told = make_job(tenant, callback_url="http://127.0.0.1:9/done")
    make_job(tenant)
    record(*[outcome_of(started) for started in start(claim())])
    delivery = Delivery.objects.get()
    assert delivery.job_id == job_uuid(told)
    assert LiveDelivery.objects.get().delivery_id == delivery.id
    assert Event.objects.count() == 2


def test_a_failed_attempt_waits_for_its_backoff(tenant: Tenant) -> None:
    job = make_job(tenant, retry={"initial_seconds": 100, "jitter": 0})
    (started,) = start(claim())
    record(outcome_of(started, "failed", error_code="handler-error", error_message="ValueError: no"))
    row = live(job)
    assert (row.state, row.attempt, row.error_code) == ("retryable", 1, "handler-error")
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM job_live")
        assert 95 < cursor.fetchone()[0] <= 100
    assert not Event.objects.exists()


def test_used_up_attempts_discard_the_job_with_its_error(tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=1)
    (started,) = start(claim())
    record(outcome_of(started, "failed", error_code="handler-error", error_message="ValueError: no"))
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.error_code, row.error_epoch) == ("discarded", "handler-error", 1)
    assert Event.objects.get().type == "job.discarded"


def test_a_crash_recorded_by_the_watchdog_uses_up_no_attempt(tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=1)
    (started,) = start(claim())
    record(outcome_of(started, "crashed", error_code="crashed"))
    row = live(job)
    assert (row.state, row.crash_count) == ("available", 1)
    (again,) = start(claim())
    record(outcome_of(again, "failed", error_code="handler-error"))
    assert Job.objects.get(id=job_uuid(job)).final_state == "discarded"


def test_a_stale_worker_cannot_finish_a_rescued_job(tenant: Tenant) -> None:

    job = make_job(tenant)
    (stale,) = start(claim())
    end_lease(job)
    with as_role("dispatcher"):
        reap_leases()
    (fresh,) = start(claim())
    report = record(outcome_of(stale, result=b'"late"'))
    assert (report.recorded, len(report.lost)) == (0, 1)
    assert live(job).state == "executing"
    assert not Event.objects.exists()
    assert Blob.objects.filter(kind="result").count() == 0
    assert record(outcome_of(fresh)).recorded == 1


def test_an_outcome_recorded_twice_counts_once(tenant: Tenant) -> None:
    make_job(tenant)
    (started,) = start(claim())
    assert record(outcome_of(started)).recorded == 1
    assert record(outcome_of(started)).recorded == 0
    assert Event.objects.count() == 1


def test_a_group_of_mixed_outcomes_and_tenants_is_recorded_at_once(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant):
        for _ in range(3):
            make_job(owner, max_attempts=1)
    started = start(claim())
    kinds = ["completed", "failed", "crashed"] * 2
    report = record(*[outcome_of(job, kind) for job, kind in zip(started, kinds, strict=True)])  # type: ignore[arg-type]
    assert report.recorded == 6
    assert Event.objects.count() == 4
    assert LiveJob.objects.filter(state="available", crash_count=1).count() == 2


def test_a_bad_row_hurts_itself_only(tenant: Tenant) -> None:
    good, bad = make_job(tenant), make_job(tenant)
    started = {job.job_id: job for job in start(claim())}
    report = record(
        outcome_of(started[job_uuid(good)]),
        outcome_of(started[job_uuid(bad)], "failed", error_code="nul \x00 byte"),
    )
    assert report.recorded == 1
    assert Job.objects.get(id=job_uuid(good)).final_state == "completed"
    assert live(bad).state == "executing"


def test_an_outcome_outlives_a_server_that_takes_no_writes_for_a_moment(tenant: Tenant) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    with pytest.raises(InternalError), no_writes():
        record(outcome_of(started))
    assert live(job).state == "executing"
    assert record(outcome_of(started)).recorded == 1


def test_a_message_delivered_twice_starts_its_jobs_once(tenant: Tenant) -> None:
    make_job(tenant)
    refs = claim()
    assert len(start(refs)) == 1
    assert start(refs) == []
    assert LiveJob.objects.get().attempt == 1


def test_a_released_job_is_available_at_once_and_its_attempt_is_not_counted(tenant: Tenant) -> None:
    job = make_job(tenant)
    refs = claim()
    (started,) = start(refs)
    with as_role("worker"):
        assert release_jobs(refs, worker_id=WORKER) == 1
    row = live(job)
    assert (row.state, row.attempt, row.crash_count) == ("available", 0, 0)
    assert record(outcome_of(started)).recorded == 0
    assert len(claim()) == 1


def test_a_renewal_names_what_is_still_held_and_what_is_to_be_cancelled(tenant: Tenant) -> None:
    kept, lost = make_job(tenant), make_job(tenant)
    refs = claim()
    started = start(refs)
    end_lease(lost)
    with as_role("dispatcher"):
        reap_leases()
    LiveJob.objects.filter(job_id=job_uuid(kept)).update(cancel_requested=True)
    with as_role("worker"):
        renewal = renew_leases(refs, worker_id=WORKER, lease_seconds=30)
    held = {(job.job_id, job.epoch) for job in started if job.job_id == job_uuid(kept)}
    assert renewal.kept == renewal.cancelled == held


def test_a_finished_job_is_terminal_exactly_when_it_has_an_end(tenant: Tenant) -> None:
    make_job(tenant)
    make_job(tenant)
    record(*[outcome_of(job) for job in start(claim(1))])
    for row in Job.objects.all():
        assert (row.final_state in FINAL_STATES) == (row.finished_at is not None) == (row.end_event_id is not None)


def test_a_tenant_whose_key_is_gone_does_not_hold_back_its_neighbours(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant)
    make_job(other_tenant)
    started = start(claim())
    DataKey.objects.filter(tenant_id=other_tenant.id).delete()
    forget_opened_keys(other_tenant.id)
    assert record(*[outcome_of(job) for job in started]).recorded == 1
    assert Job.objects.get(tenant_id=tenant.id).final_state == "completed"
    assert LiveJob.objects.get().tenant_id == other_tenant.id


def test_a_key_that_goes_out_of_reach_while_a_group_is_written_hurts_its_own_run_only(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(tenant)
    make_job(other_tenant)
    started = start(claim())

    def look(blob: SealedBlob) -> bool:
        if blob.tenant_id == other_tenant.id:
            raise Unavailable("The root key file of this process is an older copy.")
        return False

    monkeypatch.setattr(recording, "is_outdated", look)
    assert record(*[outcome_of(job) for job in started]).recorded == 2
    assert Job.objects.get(tenant_id=tenant.id).final_state == "completed"
    row = LiveJob.objects.get()
    assert (row.tenant_id, row.state, row.attempt, row.crash_count) == (other_tenant.id, "available", 0, 0)
