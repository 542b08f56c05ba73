"""`POST /v1/jobs/{id}/retry`: what is over, failed or held runs again, under a new epoch and with a try left."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice import ids
from jobservice.jobs.models import Attempt, Job, Lane, LiveJob
from jobservice.webhooks.models import Event
from tests.api.keys import make_key
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, live, outcome_of, record, start

pytestmark = pytest.mark.django_db


def retry(api: Any, tenant: Tenant, job: dict[str, Any]) -> Any:
    return api.post(f"/v1/jobs/{job['id']}/retry", key=tenant.api_key)


def run(kind: Any, **fields: Any) -> None:
    (started,) = start(claim())
    record(outcome_of(started, kind, **fields))


def test_a_discarded_job_runs_again_with_one_more_attempt(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=1, payload={"kept": True})
    run("failed", error_code="handler-error", error_message="no")
    shown = retry(api, tenant, job).json()
    assert (shown["state"], shown["attempt"], shown["max_attempts"], shown["error"]) == ("available", 1, 2, None)
    assert shown["finished_at"] is None
    (started,) = start(claim())
    assert (started.attempt, started.epoch) == (2, 3)
    record(outcome_of(started))
    shown = api.get(f"/v1/jobs/{job['id']}?include=payload,result", key=tenant.api_key).json()
    assert (shown["state"], shown["payload"], shown["result"]) == ("completed", {"kept": True}, {"ok": True})
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["completed", "failed"]
    types = Event.objects.order_by("at").values_list("type", flat=True)
    assert list(types) == ["job.discarded", "job.retried", "job.completed"]


def test_a_completed_and_a_cancelled_job_run_again_too(api: Any, tenant: Tenant) -> None:
    done = make_job(tenant)
    run("completed")
    gone = make_job(tenant)
    api.post(f"/v1/jobs/{gone['id']}/cancel", key=tenant.api_key)
    for job in (done, gone):
        assert retry(api, tenant, job).json()["state"] == "available"
        assert api.get(f"/v1/jobs/{job['id']}?include=result", key=tenant.api_key).json()["result"] is None
    assert len(claim()) == 2


def test_a_job_in_backoff_runs_now(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant, retry={"initial_seconds": 3600})
    run("failed", error_code="handler-error", error_message="no")
    assert claim() == []
    assert retry(api, tenant, job).json()["state"] == "available"
    assert len(claim()) == 1


def test_a_quarantined_job_is_forgiven_its_crashes(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    for _ in range(3):
        run("crashed", error_code="crashed")
    assert live(job).state == "suspended"
    shown = retry(api, tenant, job).json()
    assert (shown["state"], shown["crash_count"], shown["attempt"]) == ("available", 0, 3)
    run("crashed", error_code="crashed")
    assert live(job).state == "available", "three more crashes are needed"


def test_the_lane_is_awake_or_made_again(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    run("completed")
    Lane.objects.update(is_active=False)
    retry(api, tenant, job)
    assert Lane.objects.get().is_active
    run("completed")
    Lane.objects.all().delete()
    retry(api, tenant, job)
    assert len(claim()) == 1


def test_a_deadline_to_start_holds_no_more(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant, start_deadline_seconds=5)
    api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key)
    retry(api, tenant, job)
    assert live(job).start_deadline_at is None


def test_an_attempt_is_left_even_after_a_hundred(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    run("completed")
    Job.objects.filter(id=job_uuid(job)).update(attempt=150)
    assert retry(api, tenant, job).json()["max_attempts"] == 151


@pytest.mark.parametrize("steps", ["due", "claimed", "running", "scheduled"])
def test_a_job_that_will_run_anyway_is_refused(api: Any, tenant: Tenant, steps: str) -> None:
    job = make_job(tenant, **({"delay_seconds": 600} if steps == "scheduled" else {}))
    refs = claim() if steps in ("claimed", "running") else []
    if steps == "running":
        start(refs)
    before = LiveJob.objects.values().get()
    answer = retry(api, tenant, job)
    assert (answer.status_code, answer.json()["code"]) == (409, "job-not-terminal")
    assert LiveJob.objects.values().get() == before


def test_another_tenants_job_is_unknown(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    job = make_job(other_tenant)
    run("completed")
    unknown = ids.show_id(ids.JOB, ids.new_id())
    foreign, none = (api.post(f"/v1/jobs/{i}/retry", key=tenant.api_key).json() for i in (job["id"], unknown))
    assert {**foreign, "request_id": ""} == {**none, "request_id": ""}
    assert Job.objects.get().final_state == "completed"


def test_the_scope_is_needed(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    run("completed")
    reader = make_key(tenant, "jobs:read")
    assert api.post(f"/v1/jobs/{job['id']}/retry", key=reader).json()["code"] == "insufficient-scope"
    assert api.post(f"/v1/jobs/{job['id']}/retry").status_code == 401
