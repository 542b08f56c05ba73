"""POST /v1/jobs/bulk."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.jobs.models import Job, JobTag, LiveJob
from tenants.models import Blob
from tenants.models import Tenant as TenantRow
from tests.api.keys import faults, make_key, problem

pytestmark = pytest.mark.django_db


def submit(api: Any, tenant: Any, *jobs: Any, mode: str = "atomic", **headers: str) -> Any:
    return api.post("/v1/jobs/bulk", {"mode": mode, "jobs": list(jobs)}, key=tenant.api_key, **headers)


def test_each_job_is_answered_as_if_it_came_alone(api: Any, tenant: Any) -> None:
    jobs = [{"type": "echo", "payload": n, "tags": {"n": str(n)}, "queue": f"q{n % 3}"} for n in range(10)]
    answer = submit(api, tenant, *jobs)
    assert answer.status_code == 200
    entries = answer.json()["data"]
    assert [entry["index"] for entry in entries] == list(range(10))
    for n, entry in enumerate(entries):
        assert entry["status"] == 201
        read = api.get(f"/v1/jobs/{entry['job']['id']}?include=payload", key=tenant.api_key).json()
        assert read.pop("payload") == n
        assert {**read, "waiting": None} == entry["job"]
        assert (read["queue"], read["tags"]) == (f"q{n % 3}", {"n": str(n)})


def test_the_most_jobs_are_a_thousand(api: Any, tenant: Any) -> None:
    jobs = [{"type": "echo", "payload": "x" * 100}] * 1000
    entries = submit(api, tenant, *jobs).json()["data"]
    assert len({entry["job"]["id"] for entry in entries}) == 1000
    assert LiveJob.objects.filter(tenant_id=tenant.id, state="available").count() == 1000
    assert faults(submit(api, tenant, *jobs, {"type": "echo"})) == {("/jobs", "out-of-range")}


def test_an_atomic_group_with_any_fault_stores_nothing_and_tells_every_fault(api: Any, tenant: Any) -> None:
    answer = submit(
        api,
        tenant,
        {"type": "echo"},
        {"type": "echo", "priority": 10, "nonsense": 1},
        7,
        {"type": "echo", "callback_url": "http://169.254.169.254/"},
        {"type": "echo", "payload": "x" * (1024**2 + 1)},
    )
    assert faults(answer) == {
        ("/jobs/1/priority", "out-of-range"),
        ("/jobs/1/nonsense", "unknown-field"),
        ("/jobs/2", "wrong-type"),
        ("/jobs/3/callback_url", "egress-refused"),
        ("/jobs/4/payload", "payload-too-large"),
    }
    assert not Job.objects.filter(tenant_id=tenant.id).exists()


def test_faults_of_fields_types_queues_and_schemas_are_told_in_one_answer(api: Any, tenant: Any) -> None:
    strict = {"executor": "handler", "handler": "echo", "payload_schema": {"type": "object"}}
    api.put("/v1/job-types/strict", strict, key=tenant.api_key)
    key = make_key(tenant, "jobs:write", queues=["mail"])
    jobs = [
        {"type": "echo", "queue": "mail", "priority": 10},
        {"type": "nobody.knows", "queue": "mail"},
        {"type": "nobody.knows", "timeout_seconds": 0},
        {"type": "strict", "queue": "mail", "payload": 1},
        {"type": "strict", "queue": "letters", "payload": 1, "max_attempts": 0},
        {"type": "strict", "queue": "No Name", "payload": "x" * (1024**2 + 1)},
        {"queue": "letters"},
        {"type": "echo", "queue": "mail"},
    ]
    expected = {
        ("/jobs/0/priority", "out-of-range"),
        ("/jobs/1/type", "unknown-job-type"),
        ("/jobs/2/type", "unknown-job-type"),
        ("/jobs/2/timeout_seconds", "out-of-range"),
        ("/jobs/3/payload", "wrong-type"),
        ("/jobs/4/queue", "forbidden"),
        ("/jobs/4/payload", "wrong-type"),
        ("/jobs/4/max_attempts", "out-of-range"),
        ("/jobs/5/queue", "bad-format"),
        ("/jobs/5/payload", "payload-too-large"),
        ("/jobs/6/type", "required"),
    }
    assert faults(api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, key=key)) == expected
    assert not Job.objects.filter(tenant_id=tenant.id).exists()


def test_an_atomic_group_with_an_unknown_type_stores_nothing(api: Any, tenant: Any) -> None:
    answer = submit(api, tenant, {"type": "echo"}, {"type": "nobody.knows"})
    assert faults(answer) == {("/jobs/1/type", "unknown-job-type")}
    for model in (Job, LiveJob, Blob, JobTag):
        assert not model.objects.filter(tenant_id=tenant.id).exists()


def test_a_partial_group_stores_what_is_right(api: Any, tenant: Any) -> None:
    answer = submit(
        api, tenant, {"type": "echo"}, {"type": "nobody.knows"}, {"priority": 0}, {"type": "echo"}, mode="partial"
    )
    assert answer.status_code == 200
    entries = answer.json()["data"]
    assert [entry["status"] for entry in entries] == [201, 422, 422, 201]
    assert [entry["index"] for entry in entries] == [0, 1, 2, 3]
    assert entries[1]["problem"]["code"] == "unknown-job-type"
    assert entries[1]["problem"]["type"] == "/docs/problems/unknown-job-type"
    assert entries[2]["problem"]["errors"][0]["pointer"] == "/type"
    assert Job.objects.filter(tenant_id=tenant.id).count() == 2


def test_a_partial_group_of_faults_only_is_answered_too(api: Any, tenant: Any) -> None:
    entries = submit(api, tenant, {"type": "nobody.knows"}, mode="partial").json()["data"]
    assert [entry["status"] for entry in entries] == [422]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], {("", "wrong-type")}),
        ({}, {("/mode", "required"), ("/jobs", "required")}),
        ({"mode": "some", "jobs": []}, {("/mode", "out-of-range"), ("/jobs", "out-of-range")}),
        ({"mode": "atomic", "jobs": {}, "extra": 1}, {("/jobs", "wrong-type"), ("/extra", "unknown-field")}),
    ],
)
def test_a_wrong_request_is_told_where(api: Any, tenant: Any, body: Any, expected: set[tuple[str, str]]) -> None:
    assert faults(api.post("/v1/jobs/bulk", body, key=tenant.api_key)) == expected


def test_without_a_key_or_its_scope_nothing_is_accepted(api: Any, tenant: Any) -> None:
    body = {"mode": "atomic", "jobs": [{"type": "echo"}]}
    problem(api.post("/v1/jobs/bulk", body), 401, "unauthenticated")
    problem(api.post("/v1/jobs/bulk", body, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")
    assert not Job.objects.filter(tenant_id=tenant.id).exists()


def test_another_tenants_type_is_unknown(api: Any, tenant: Any, other_tenant: Any) -> None:
    body = {"executor": "http", "http": {"url": "https://example.com/"}}
    api.put("/v1/job-types/theirs", body, key=other_tenant.api_key)
    assert faults(submit(api, tenant, {"type": "theirs"})) == {("/jobs/0/type", "unknown-job-type")}


def test_a_key_limited_to_a_queue_submits_only_there(api: Any, tenant: Any) -> None:
    key = make_key(tenant, "jobs:write", queues=["mail"])
    jobs = [{"type": "echo", "queue": "mail"}, {"type": "echo"}]
    atomic = api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, key=key)
    assert faults(atomic) == {("/jobs/1/queue", "forbidden")}
    partial = api.post("/v1/jobs/bulk", {"mode": "partial", "jobs": jobs}, key=key).json()["data"]
    assert [entry["status"] for entry in partial] == [201, 403]


def test_a_suspended_tenant_submits_nothing(api: Any, tenant: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    problem(submit(api, tenant, {"type": "echo"}), 403, "forbidden")


def test_a_group_may_be_larger_than_one_payload(api: Any, tenant: Any) -> None:
    answer = submit(api, tenant, *[{"type": "echo", "payload": "x" * 900_000}] * 5)
    assert answer.status_code == 200
    problem(submit(api, tenant, *[{"type": "echo", "payload": "x" * 1_000_000}] * 9), 413, "payload-too-large")


def test_jobs_of_own_types_take_their_defaults(api: Any, tenant: Any) -> None:
    for name in ("one", "two"):
        body = {"executor": "handler", "handler": "echo", "defaults": {"queue": name, "max_attempts": 3}}
        api.put(f"/v1/job-types/{name}", body, key=tenant.api_key)
    entries = submit(api, tenant, {"type": "two"}, {"type": "one"}, {"type": "one", "queue": "here"}).json()["data"]
    assert [entry["job"]["queue"] for entry in entries] == ["two", "one", "here"]
    assert {entry["job"]["max_attempts"] for entry in entries} == {3}


def test_scheduled_and_available_jobs_go_together(api: Any, tenant: Any) -> None:
    jobs = [{"type": "echo", "delay_seconds": 60}, {"type": "echo"}, {"type": "echo", "run_at": "2020-01-01T00:00:00Z"}]
    states = [entry["job"]["state"] for entry in submit(api, tenant, *jobs).json()["data"]]
    assert states == ["scheduled", "available", "available"]


def test_the_answer_does_not_grow_with_the_faults_of_all_jobs(api: Any, tenant: Any) -> None:
    wrong = {"type": "echo", **{f"x{at}": 1 for at in range(150)}}
    for count, most in ((1, 100), (50, 40), (1000, 10)):
        entries = submit(api, tenant, *[wrong] * count, mode="partial").json()["data"]
        assert {len(entry["problem"]["errors"]) for entry in entries} == {most}
    document = problem(submit(api, tenant, *[wrong] * 1000, mode="atomic"), 422, "invalid")
    assert len(document["errors"]) == 100
