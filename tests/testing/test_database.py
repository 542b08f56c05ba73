"""Jobs in a test database: found when they were submitted, run when they are due, and gone with the test."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.handlers import Job as RunningJob
from jobservice.handlers import handler
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.models import Job
from jobservice.jobs.timeline import list_attempts
from jobservice.testing import SubmittedJob, TrialTenant, make_tenant, submit_job
from tests.jobs.dispatching import job_uuid

pytestmark = pytest.mark.django_db
_runs: list[Any] = []


@handler("testing.trial")
def _run_trial(payload: Any, job: RunningJob) -> Any:
    _runs.append(payload)
    match payload:
        case {"snooze": seconds}:
            if len(_runs) == 1:
                job.snooze(seconds)
        case {"submit": count} if count:
            submit_job(_tenants[-1], "testing.trial", {"submit": count - 1})
        case {"fail": True}:
            raise ValueError("as asked")
        case {"report": message}:
            job.progress(50, message)
            job.log(message)
    return len(_runs)


_tenants: list[TrialTenant] = []


@pytest.fixture
def tenant(job_tenant: TrialTenant) -> TrialTenant:
    _runs.clear()
    _tenants.append(job_tenant)
    return job_tenant


def test_the_jobs_of_a_queue_run_in_turn_and_no_others(tenant: TrialTenant, drain_queue: Any) -> None:
    for number in (1, 2):
        submit_job(tenant, "testing.trial", number)
    elsewhere = [submit_job(tenant, "testing.trial", 3, queue="other"), submit_job(make_tenant(), "testing.trial", 4)]
    assert drain_queue(tenant) == {"completed": 2}
    assert _runs == [1, 2]
    assert drain_queue(tenant) == {}
    rows = Job.objects.filter(id__in=[job_uuid(job) for job in elsewhere])
    assert {(row.epoch, row.final_state) for row in rows} == {(0, None)}
    assert drain_queue(tenant.id, "other") == {"completed": 1}


def test_a_job_that_waits_becomes_due_when_time_goes_by(
    tenant: TrialTenant, drain_queue: Any, advance: Any, submitted_jobs: Any
) -> None:
    submit_job(tenant, "testing.trial", {"snooze": 3600}, delay_seconds=600)
    assert drain_queue(tenant) == {}
    advance(minutes=10)
    assert drain_queue(tenant) == {"scheduled": 1}
    advance(minutes=59)
    assert drain_queue(tenant) == {}
    advance(seconds=60)
    assert drain_queue(tenant) == {"completed": 1}
    assert [job.state for job in submitted_jobs(tenant)] == ["completed"]


def test_a_deadline_to_start_passes_too(tenant: TrialTenant, drain_queue: Any, advance: Any) -> None:
    job = submit_job(tenant, "testing.trial", 1, start_deadline_seconds=60)
    advance(minutes=2)
    assert drain_queue(tenant) == {}
    assert Job.objects.get(id=job_uuid(job)).error_code == "expired"


def test_a_unique_job_is_submitted_once_until_its_period_has_passed(
    tenant: TrialTenant, drain_queue: Any, advance: Any, submitted_jobs: Any
) -> None:
    daily = {"key": "digest-5", "period_seconds": 86_400}
    first = submit_job(tenant, "testing.trial", unique=daily)
    assert submit_job(tenant, "testing.trial", unique=daily) == {**first, "deduplicated": True}
    assert drain_queue(tenant) == {"completed": 1}
    advance(hours=23)
    assert submit_job(tenant, "testing.trial", unique=daily)["id"] == first["id"]
    advance(hours=2)
    assert submit_job(tenant, "testing.trial", unique=daily)["deduplicated"] is False
    assert len(submitted_jobs(tenant)) == 2


def test_jobs_that_jobs_submit_run_too(tenant: TrialTenant, drain_queue: Any) -> None:
    submit_job(tenant, "testing.trial", {"submit": 3})
    assert drain_queue(tenant) == {"completed": 4}


def test_a_queue_that_never_empties_is_told(tenant: TrialTenant, drain_queue: Any) -> None:
    submit_job(tenant, "testing.trial", {"submit": 50})
    with pytest.raises(AssertionError, match="still due after 5 runs"):
        drain_queue(tenant, limit=5)


def test_failures_cancels_and_reports_are_those_of_the_service(tenant: TrialTenant, drain_queue: Any) -> None:
    submit_job(tenant, "testing.trial", {"fail": True}, max_attempts=1)
    told = submit_job(tenant, "testing.trial", {"report": "half"})
    cancelled = submit_job(tenant, "testing.trial", "never")
    cancel_job(tenant.id, job_uuid(cancelled))
    assert drain_queue(tenant) == {"discarded": 1, "completed": 1}
    assert "never" not in _runs
    page = list_attempts(tenant.id, job_uuid(told), limit=1)
    assert page is not None
    assert page.data[0]["progress"] == {"percent": 50, "message": "half"}
    assert [line["message"] for line in page.data[0]["log"]] == ["half"]


def test_what_was_submitted_is_found_by_what_the_test_names(
    tenant: TrialTenant, api: Any, assert_submitted: Any, refute_submitted: Any
) -> None:
    api.post("/v1/jobs", {"type": "echo", "payload": {"a": {"b": 1, "c": 2}}, "tags": {"x": "1"}}, key=tenant.api_key)
    (found,) = assert_submitted(tenant, type="echo", payload={"a": {"b": 1}}, queue="default", tags={"x": "1"})
    assert isinstance(found, SubmittedJob)
    assert (found.payload, found.state) == ({"a": {"b": 1, "c": 2}}, "available")
    assert_submitted(tenant, type="echo", count=1)
    refute_submitted(tenant, type="echo", payload={"a": {"b": 2}})
    refute_submitted(tenant, type="sleep")
    refute_submitted(make_tenant(), type="echo")


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "sleep"},
        {"type": "echo", "payload": {"a": 2}},
        {"type": "echo", "queue": "q"},
        {"type": "echo", "count": 2},
    ],
)
def test_what_was_not_submitted_fails_and_says_what_was(
    tenant: TrialTenant, assert_submitted: Any, wanted: dict[str, Any]
) -> None:
    submit_job(tenant, "echo", {"a": 1})
    with pytest.raises(AssertionError, match=r'echo on default: \{"a": 1\}'):
        assert_submitted(tenant, **wanted)


def test_a_job_that_was_submitted_after_all_fails_the_refutation(tenant: TrialTenant, refute_submitted: Any) -> None:
    submit_job(tenant, "echo", {"a": 1})
    with pytest.raises(AssertionError, match="Expected 0 submitted echo, found 1"):
        refute_submitted(tenant, type="echo", payload={"a": 1})
