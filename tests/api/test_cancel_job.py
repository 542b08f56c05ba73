"""`POST /v1/jobs/{id}/cancel`: at once while nothing runs, by asking while something does."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice import ids
from jobservice.jobs.leases import renew_leases
from jobservice.jobs.models import Attempt, LiveJob
from jobservice.webhooks.models import Delivery, Event
from tests.api.keys import make_key
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, record, start
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def cancel(api: Any, tenant: Tenant, job: dict[str, Any]) -> Any:
    return api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key)


def make_scheduled(tenant: Tenant) -> dict[str, Any]:
    return make_job(tenant, delay_seconds=600)


def make_dispatched(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant)
    claim()
    return job


def make_retryable(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant)
    (started,) = start(claim())
    record(outcome_of(started, "failed", error_code="handler-error", error_message="no"))
    return job


def make_suspended(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant)
    LiveJob.objects.filter(job_id=job_uuid(job)).update(
        state="suspended", suspended_reason="crashes", attempt=3, crash_count=3
    )
    return job


@pytest.mark.parametrize("make", [make_scheduled, make_job, make_dispatched, make_retryable, make_suspended])
def test_a_job_that_no_worker_runs_is_over_at_once(api: Any, tenant: Tenant, make: Any) -> None:
    job = make(tenant)
    answer = cancel(api, tenant, job)
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["state"], shown["error"]) == ("cancelled", {"code": "cancelled", "message": None})
    assert shown["finished_at"] is not None
    assert (Event.objects.get(type="job.cancelled").job or {})["id"] == job["id"]
    assert not LiveJob.objects.exists()


def test_its_event_goes_to_the_callback(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant, callback_url="http://127.0.0.1:9/done")
    cancel(api, tenant, job)
    assert Delivery.objects.get().event_id == Event.objects.get().id


def test_a_worker_that_was_chosen_finds_nothing_to_start(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    refs = claim()
    cancel(api, tenant, job)
    assert start(refs) == []


def test_a_run_is_asked_to_stop_and_its_worker_is_told(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    refs = claim()
    start(refs)
    shown = cancel(api, tenant, job).json()
    assert (shown["state"], shown["cancel_requested"]) == ("executing", True)
    with as_role("worker"):
        assert renew_leases(refs, worker_id=WORKER, lease_seconds=30).cancelled == {(job_uuid(job), 1)}
    assert cancel(api, tenant, job).status_code == 200, "asking again changes nothing"
    assert Event.objects.filter(type="job.cancel_requested").count() == 1


@pytest.mark.parametrize("kind", ["completed", "failed", "timed-out", "snoozed", "cancelled"])
def test_whatever_the_run_came_to_is_not_taken_any_more(api: Any, tenant: Tenant, kind: Any) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    cancel(api, tenant, job)
    record(outcome_of(started, kind))
    shown = api.get(f"/v1/jobs/{job['id']}?include=result", key=tenant.api_key).json()
    assert (shown["state"], shown["result"], shown["error"]["code"]) == ("cancelled", None, "cancelled")
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.result_id) == ("cancelled", None)
    assert Event.objects.filter(type__in=["job.completed", "job.discarded"]).count() == 0


def test_a_cancelled_run_whose_worker_dies_is_cancelled_and_its_crash_is_told(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    (started,) = start(claim())
    cancel(api, tenant, job)
    record(outcome_of(started, "crashed", error_code="crashed"))
    assert Attempt.objects.get().outcome == "crashed"
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert (shown["state"], shown["crash_count"]) == ("cancelled", 1)


def test_a_cancelled_run_that_its_silent_worker_lost_is_cancelled(api: Any, tenant: Tenant) -> None:
    from jobservice.jobs.rescue import reap_leases

    job = make_job(tenant)
    start(claim())
    cancel(api, tenant, job)
    end_lease(job)
    with as_role("dispatcher"):
        assert reap_leases().crashed == 1
    assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()["state"] == "cancelled"


def test_a_job_that_is_over_cannot_be_cancelled(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    record(outcome_of(start(claim())[0]))
    answer = cancel(api, tenant, job)
    assert (answer.status_code, answer.json()["code"]) == (409, "job-terminal")


def test_a_body_with_fields_is_refused(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    path = f"/v1/jobs/{job['id']}/cancel"
    assert api.post(path, {"reason": "late"}, key=tenant.api_key).json()["errors"][0]["code"] == "unknown-field"
    assert api.post(path, [], key=tenant.api_key).status_code == 422
    assert api.post(f"{path}?force=1", key=tenant.api_key).status_code == 422
    assert live(job).state == "available"
    assert api.post(path, {}, key=tenant.api_key).status_code == 200


def test_another_tenants_job_is_unknown(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    job = make_job(other_tenant)
    unknown = ids.show_id(ids.JOB, ids.new_id())
    foreign, none = (api.post(f"/v1/jobs/{i}/cancel", key=tenant.api_key).json() for i in (job["id"], unknown))
    assert {**foreign, "request_id": ""} == {**none, "request_id": ""}
    assert live(job).state == "available"


def test_the_scope_is_needed(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    reader = make_key(tenant, "jobs:read")
    assert api.post(f"/v1/jobs/{job['id']}/cancel", key=reader).json()["code"] == "insufficient-scope"
    assert api.post(f"/v1/jobs/{job['id']}/cancel").status_code == 401
