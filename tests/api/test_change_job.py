"""PATCH /v1/jobs/{id}."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from jobservice import ids
from jobservice.errors import NotFound
from jobservice.ids import new_id
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.claims import stage_due_jobs
from jobservice.jobs.models import JobTag, Lane, LiveJob
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import make_job
from tests.jobs.dispatching import claim, job_uuid, live, outcome_of, record, start

pytestmark = pytest.mark.django_db


def hours_ahead(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def change(api: Any, tenant: Any, job: dict[str, Any], **body: Any) -> Any:
    return api.patch(f"/v1/jobs/{job['id']}", body, key=tenant.api_key)


def fail_once(tenant: Any, **fields: Any) -> dict[str, Any]:
    """A job that waits for its backoff."""
    job = make_job(tenant, **fields)
    record(outcome_of(start(claim())[0], "failed", error_code="handler-error", error_message="It broke."))
    assert live(job).state == "retryable"
    return job


def test_every_value_that_may_change_does(api: Any, tenant: Any) -> None:
    job = make_job(tenant, tags={"a": "1", "b": "2"})
    run_at = hours_ahead(2)
    answer = change(api, tenant, job, priority=4, run_at=run_at, tags={"b": "3", "c": "4"}, max_attempts=7)
    assert answer.status_code == 200
    expected = {"priority": 4, "run_at": run_at, "tags": {"b": "3", "c": "4"}, "max_attempts": 7, "state": "scheduled"}
    assert answer.json() == {**job, **expected, "available_at": None}
    read = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert {**read, "waiting": None} == answer.json()
    assert set(JobTag.objects.filter(job_id=job_uuid(job)).values_list("name", "value")) == {("b", "3"), ("c", "4")}
    found = api.get("/v1/jobs?tag=c:4&priority=4", key=tenant.api_key).json()["data"]
    assert [one["id"] for one in found] == [job["id"]]
    assert api.get("/v1/jobs?tag=a:1", key=tenant.api_key).json()["data"] == []


def test_what_is_not_named_stays(api: Any, tenant: Any) -> None:
    job = make_job(tenant, priority=3, tags={"a": "1"}, delay_seconds=60)
    assert change(api, tenant, job, max_attempts=2, priority=None).json() == {**job, "max_attempts": 2}


def test_tags_can_be_taken_away(api: Any, tenant: Any) -> None:
    job = make_job(tenant, tags={"a": "1"})
    assert change(api, tenant, job, tags={}).json()["tags"] == {}
    assert not JobTag.objects.filter(job_id=job_uuid(job)).exists()


def test_the_rank_follows_priority_and_time(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    change(api, tenant, job, priority=5)
    row = live(job)
    assert row.rank == row.due_at + timedelta(minutes=5)
    change(api, tenant, job, delay_seconds=600)
    row = live(job)
    assert row.rank == row.due_at + timedelta(minutes=5)
    assert (row.state, row.available_at) == ("scheduled", None)


def test_a_better_priority_is_claimed_first(api: Any, tenant: Any) -> None:
    first, second = make_job(tenant, priority=5), make_job(tenant, priority=5)
    change(api, tenant, second, priority=0)
    assert [ref.id for ref in claim(1)] == [job_uuid(second)]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("when", [{"delay_seconds": 0}, {"run_at": "2020-01-01T00:00:00Z"}])
def test_a_scheduled_job_that_is_due_now_is_available_and_its_lane_awake(
    api: Any, tenant: Any, when: dict[str, Any]
) -> None:
    job = make_job(tenant, delay_seconds=3600)
    Lane.objects.update(is_active=False)
    answer = change(api, tenant, job, **when).json()
    assert answer["state"] == "available"
    assert answer["available_at"] == answer["run_at"] >= job["created_at"]
    assert [ref.id for ref in claim()] == [job_uuid(job)]


def test_an_available_job_can_be_put_off(api: Any, tenant: Any, role: Any) -> None:
    job = make_job(tenant)
    assert change(api, tenant, job, delay_seconds=3600).json()["state"] == "scheduled"
    with role("dispatcher"):
        assert stage_due_jobs() == 0
    assert claim() == []


def test_the_time_of_a_retryable_job_is_that_of_its_next_try(api: Any, tenant: Any) -> None:
    job = fail_once(tenant)
    answer = change(api, tenant, job, run_at=hours_ahead(3)).json()
    assert answer["state"] == "retryable"
    assert answer["error"] == {"code": "handler-error", "message": "It broke."}
    assert answer["latency_ms"] is None
    assert live(job).due_at > datetime.now(UTC) + timedelta(hours=2)
    assert change(api, tenant, job, delay_seconds=0).json()["state"] == "available"
    assert [ref.id for ref in claim()] == [job_uuid(job)]


def test_a_suspended_job_stays_suspended(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    LiveJob.objects.filter(job_id=job_uuid(job)).update(
        state="suspended", suspended_reason="crashes", attempt=3, crash_count=3
    )
    answer = change(api, tenant, job, priority=2, delay_seconds=0)
    assert (answer.status_code, answer.json()["state"], answer.json()["priority"]) == (200, "suspended", 2)


def test_a_changed_limit_of_attempts_counts(api: Any, tenant: Any) -> None:
    job = fail_once(tenant)
    change(api, tenant, job, max_attempts=2, delay_seconds=0)
    record(outcome_of(start(claim())[0], "failed"))
    assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()["state"] == "discarded"


def test_a_limit_of_attempts_that_is_used_up_is_refused(api: Any, tenant: Any) -> None:
    job = fail_once(tenant)
    assert faults(change(api, tenant, job, max_attempts=1, priority=3)) == {("/max_attempts", "out-of-range")}
    assert live(job).priority == 0


def test_crashes_use_up_no_attempt(api: Any, tenant: Any) -> None:
    job = fail_once(tenant)
    LiveJob.objects.filter(job_id=job_uuid(job)).update(crash_count=1)
    assert change(api, tenant, job, max_attempts=1).status_code == 200


def test_a_job_that_does_not_wait_is_a_409(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    started = []
    for step in ("dispatched", "executing", "completed"):
        if step == "dispatched":
            refs = claim()
        elif step == "executing":
            started = start(refs)
        else:
            record(outcome_of(started[0]))
        before = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
        assert before["state"] == step
        problem(change(api, tenant, job, priority=1, tags={"a": "1"}, max_attempts=1), 409, "job-not-waiting")
        assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json() == before
    assert not JobTag.objects.exists()


def test_the_timeline_names_what_changed(api: Any, tenant: Any) -> None:
    job = make_job(tenant, payload="canary", metadata="canary", tags={"a": "1"}, priority=2)
    changed = change(api, tenant, job, priority=2, tags={"a": "2"}, max_attempts=9).json()
    change(api, tenant, job, tags={"a": "2"})
    events = api.get(f"/v1/jobs/{job['id']}/events", key=tenant.api_key)
    assert [event["type"] for event in events.json()["data"]] == ["job.accepted", "job.updated"]
    assert events.json()["data"][1]["data"] == {"changed": ["tags", "max_attempts"], "job": changed}
    assert b"canary" not in events.content


def test_a_repeated_change_answers_the_same(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    run_at = hours_ahead(1)
    first, second = (change(api, tenant, job, priority=3, run_at=run_at).json() for _ in range(2))
    assert first == second
    assert len(api.get(f"/v1/jobs/{job['id']}/events", key=tenant.api_key).json()["data"]) == 2


def test_faults_are_named_all_at_once_and_nothing_is_done(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    body = {
        "priority": 10,
        "run_at": "tomorrow",
        "tags": {"A b": "x", "c": "\x00"},
        "max_attempts": True,
        "queue": "other",
        "payload": 1,
    }
    assert faults(change(api, tenant, job, **body)) == {
        ("/priority", "out-of-range"),
        ("/run_at", "bad-format"),
        ("/tags/A b", "bad-format"),
        ("/tags/c", "bad-format"),
        ("/max_attempts", "wrong-type"),
        ("/queue", "unknown-field"),
        ("/payload", "unknown-field"),
    }
    assert {**api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json(), "waiting": None} == job


@pytest.mark.parametrize("body", [{}, {"priority": None}, {"tags": None, "run_at": None}])
def test_a_change_of_nothing_is_a_fault(api: Any, tenant: Any, body: dict[str, Any]) -> None:
    job = make_job(tenant)
    assert faults(change(api, tenant, job, **body)) == {("", "required")}
    assert faults(api.patch(f"/v1/jobs/{job['id']}", [1], key=tenant.api_key)) == {("", "wrong-type")}


def test_one_time_only(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    answer = change(api, tenant, job, run_at=hours_ahead(1), delay_seconds=5)
    assert faults(answer) == {("/delay_seconds", "conflicting-fields")}
    assert faults(change(api, tenant, job, run_at=hours_ahead(24 * 400))) == {("/run_at", "out-of-range")}


def test_changing_needs_a_key_and_its_scope(api: Any, tenant: Any) -> None:
    address = f"/v1/jobs/{make_job(tenant)['id']}"
    problem(api.patch(address, {"priority": 1}), 401, "unauthenticated")
    problem(api.patch(address, {"priority": 1}, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")


def test_another_tenants_job_is_answered_as_an_unknown_one(api: Any, tenant: Any, other_tenant: Any) -> None:
    foreign = make_job(other_tenant)
    unknown = ids.show_id(ids.JOB, UUID(int=new_id().int ^ 1))
    answers = [
        without_request_id(api.patch(f"/v1/jobs/{job}", {"priority": 5}, key=tenant.api_key))
        for job in (foreign["id"], unknown)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert live(foreign).priority == 0


def test_the_statement_itself_keeps_to_its_tenant(tenant: Any, other_tenant: Any) -> None:
    """As the superuser, whom no policy binds: the filter by tenant is a wall of its own."""
    foreign = make_job(other_tenant)
    with pytest.raises(NotFound):
        change_job(tenant.id, job_uuid(foreign), JobChange(priority=5))
    assert live(foreign).priority == 0
