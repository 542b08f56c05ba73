"""GET /v1/queues, GET, PUT and PATCH /v1/queues/{queue}, POST …/pause and …/resume, and the quota of queues.

Who may call them is in tests/security/test_access_matrix.py.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs.models import Job, LiveJob, Queue
from jobservice.jobs.queue_settings import DEFAULTS
from tenants.models import Tenant as TenantRow
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, start

pytestmark = pytest.mark.django_db
RATE = {"limit": 10, "period_seconds": 60, "burst": 20}
SETTINGS = {"concurrency": 2, "key_concurrency": 3, "rate": RATE, "paused": True, "retention_days": 30}
EMPTY = {"scheduled": 0, "available": 0, "dispatched": 0, "executing": 0, "retryable": 0, "suspended": 0}
MAIL = "/v1/queues/mail"


def settings_of(answer: Any) -> dict[str, Any]:
    return {name: answer.json()[name] for name in DEFAULTS}


def limit_queues(tenant: Tenant, limit: int | None) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"queues": limit})


def test_a_put_makes_the_queue_and_a_second_one_replaces_all_its_settings(api: Any, tenant: Tenant) -> None:
    made = api.put(MAIL, SETTINGS, key=tenant.api_key)
    assert (made.status_code, made.headers["Location"]) == (201, MAIL)
    assert made.json() == {
        **SETTINGS,
        "name": "mail",
        "created_at": made.json()["created_at"],
        "counts": EMPTY,
        "counts_estimated": False,
        "running": 0,
        "oldest_due_at": None,
        "oldest_due_seconds": None,
    }
    again = api.put(MAIL, {"concurrency": 7}, key=tenant.api_key)
    assert again.status_code == 200
    assert "Location" not in again.headers
    assert settings_of(again) == {**DEFAULTS, "concurrency": 7}
    assert again.headers["ETag"] != made.headers["ETag"]
    assert again.json()["created_at"] == made.json()["created_at"]
    read = api.get(MAIL, key=tenant.api_key)
    assert (read.json(), read.headers["ETag"]) == (again.json(), again.headers["ETag"])


@pytest.mark.parametrize("body", [{}, dict.fromkeys(DEFAULTS)])
def test_what_a_put_does_not_give_has_its_default(api: Any, tenant: Tenant, body: dict[str, Any]) -> None:
    api.put(MAIL, SETTINGS, key=tenant.api_key)
    assert settings_of(api.put(MAIL, body, key=tenant.api_key)) == DEFAULTS
    assert settings_of(api.put("/v1/queues/other", body, key=tenant.api_key)) == DEFAULTS


@pytest.mark.parametrize(
    ("field", "value", "default"),
    [
        ("concurrency", 0, None),
        ("concurrency", 100_000, None),
        ("key_concurrency", 1, 1),
        ("key_concurrency", 100_000, 1),
        ("rate", {"limit": 1, "period_seconds": 86_400, "burst": 1_000_000}, None),
        ("rate", {"limit": 1_000_000, "period_seconds": 1, "burst": 1}, None),
        ("paused", True, False),
        ("retention_days", 1, None),
        ("retention_days", 3650, None),
    ],
)
def test_each_setting_is_kept_to_its_bounds_and_put_back_by_null(
    api: Any, tenant: Tenant, field: str, value: Any, default: Any
) -> None:
    api.put(MAIL, {}, key=tenant.api_key)
    assert settings_of(api.patch(MAIL, {field: value}, key=tenant.api_key)) == {**DEFAULTS, field: value}
    assert settings_of(api.get(MAIL, key=tenant.api_key))[field] == value
    assert settings_of(api.patch(MAIL, {field: None}, key=tenant.api_key)) == {**DEFAULTS, field: default}
    assert settings_of(api.put(MAIL, {field: value}, key=tenant.api_key)) == {**DEFAULTS, field: value}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], {("", "wrong-type")}),
        ({"concurrency": -1}, {("/concurrency", "out-of-range")}),
        ({"concurrency": 100_001}, {("/concurrency", "out-of-range")}),
        ({"concurrency": "2"}, {("/concurrency", "wrong-type")}),
        ({"concurrency": 1.5}, {("/concurrency", "wrong-type")}),
        ({"concurrency": True}, {("/concurrency", "wrong-type")}),
        ({"key_concurrency": 0}, {("/key_concurrency", "out-of-range")}),
        ({"key_concurrency": 100_001}, {("/key_concurrency", "out-of-range")}),
        ({"paused": "yes"}, {("/paused", "wrong-type")}),
        ({"retention_days": 0}, {("/retention_days", "out-of-range")}),
        ({"retention_days": 3651}, {("/retention_days", "out-of-range")}),
        ({"rate": 5}, {("/rate", "wrong-type")}),
        ({"rate": {}}, {("/rate/limit", "required"), ("/rate/period_seconds", "required")}),
        (
            {"rate": {"limit": 0, "period_seconds": 86_401, "burst": 0, "per": 1}},
            {
                ("/rate/limit", "out-of-range"),
                ("/rate/period_seconds", "out-of-range"),
                ("/rate/burst", "out-of-range"),
                ("/rate/per", "unknown-field"),
            },
        ),
        (
            {"rate": {"limit": 1_000_001, "period_seconds": 0}},
            {("/rate/limit", "out-of-range"), ("/rate/period_seconds", "out-of-range")},
        ),
        ({"name": "mail", "counts": {}}, {("/name", "unknown-field"), ("/counts", "unknown-field")}),
    ],
)
def test_every_fault_is_told_by_its_pointer_and_changes_nothing(
    api: Any, tenant: Tenant, body: Any, expected: set[tuple[str, str]]
) -> None:
    api.put(MAIL, SETTINGS, key=tenant.api_key)
    before = api.get(MAIL, key=tenant.api_key)
    assert faults(api.put(MAIL, body, key=tenant.api_key)) == expected
    assert faults(api.patch(MAIL, body, key=tenant.api_key)) == expected
    assert faults(api.put("/v1/queues/other", body, key=tenant.api_key)) == expected
    after = api.get(MAIL, key=tenant.api_key)
    assert (after.json(), after.headers["ETag"]) == (before.json(), before.headers["ETag"])
    assert Queue.objects.filter(tenant_id=tenant.id).count() == 1


def test_a_patch_alters_what_it_names_and_a_rate_as_a_whole(api: Any, tenant: Tenant) -> None:
    api.put(MAIL, SETTINGS, key=tenant.api_key)
    changed = api.patch(MAIL, {"concurrency": 9, "rate": {"limit": 4, "period_seconds": 1}}, key=tenant.api_key)
    assert changed.status_code == 200
    rate = {"limit": 4, "period_seconds": 1, "burst": 4}
    assert settings_of(changed) == {**SETTINGS, "concurrency": 9, "rate": rate}
    assert faults(api.patch(MAIL, {}, key=tenant.api_key)) == {("", "required")}
    problem(api.patch("/v1/queues/other", {"concurrency": 9}, key=tenant.api_key), 404, "not-found")


@pytest.mark.parametrize("name", ["Mail", "-mail", "a" * 101, "a%20b", "%00"])
def test_a_name_out_of_form_is_no_queues(api: Any, tenant: Tenant, name: str) -> None:
    path = f"/v1/queues/{name}"
    assert faults(api.put(path, {}, key=tenant.api_key)) == {("/queue", "bad-format")}
    for answer in (
        api.get(path, key=tenant.api_key),
        api.patch(path, {"paused": True}, key=tenant.api_key),
        api.post(f"{path}/pause", key=tenant.api_key),
    ):
        problem(answer, 404, "not-found")


def test_the_tag_is_of_the_settings_and_not_of_what_is_in_the_queue(api: Any, tenant: Tenant) -> None:
    tag = api.put(MAIL, SETTINGS, key=tenant.api_key).headers["ETag"]
    make_job(tenant, queue="mail")
    read = api.get(MAIL, key=tenant.api_key, If_None_Match=tag)
    assert (read.status_code, read.headers["ETag"], read.json()["counts"]["available"]) == (200, tag, 1)
    # What changes nothing leaves the version.
    assert api.put(MAIL, SETTINGS, key=tenant.api_key).headers["ETag"] == tag
    assert api.patch(MAIL, {"concurrency": 2, "paused": True}, key=tenant.api_key).headers["ETag"] == tag
    assert api.patch(MAIL, {"concurrency": 3}, key=tenant.api_key).headers["ETag"] != tag


def test_if_match_protects_what_changed(api: Any, tenant: Tenant) -> None:
    problem(api.put(MAIL, {}, key=tenant.api_key, If_Match="*"), 412, "precondition-failed")
    assert not Queue.objects.filter(tenant_id=tenant.id).exists()
    old = api.put(MAIL, {}, key=tenant.api_key, If_None_Match="*").headers["ETag"]
    new = api.patch(MAIL, {"concurrency": 1}, key=tenant.api_key, If_Match=old).headers["ETag"]
    for refused in (
        api.put(MAIL, {"concurrency": 5}, key=tenant.api_key, If_Match=old),
        api.put(MAIL, {"concurrency": 5}, key=tenant.api_key, If_None_Match="*"),
        api.patch(MAIL, {"concurrency": 5}, key=tenant.api_key, If_Match=old),
        # Nothing to change is no reason to pass.
        api.patch(MAIL, {"concurrency": 1}, key=tenant.api_key, If_Match=old),
        api.post(f"{MAIL}/pause", key=tenant.api_key, If_Match=old),
        api.post(f"{MAIL}/resume", key=tenant.api_key, If_Match=old),
    ):
        problem(refused, 412, "precondition-failed")
    read = api.get(MAIL, key=tenant.api_key)
    assert (read.headers["ETag"], read.json()["concurrency"], read.json()["paused"]) == (new, 1, False)
    assert api.post(f"{MAIL}/pause", key=tenant.api_key, If_Match=new).status_code == 200


def test_pause_and_resume_say_what_they_came_to_and_change_nothing_twice(api: Any, tenant: Tenant) -> None:
    api.put(MAIL, {"concurrency": 4}, key=tenant.api_key)
    paused = api.post(f"{MAIL}/pause", key=tenant.api_key)
    assert (paused.status_code, settings_of(paused)) == (200, {**DEFAULTS, "concurrency": 4, "paused": True})
    since = Queue.objects.get(tenant_id=tenant.id).paused_at
    again = api.post(f"{MAIL}/pause", {}, key=tenant.api_key)
    assert (again.status_code, again.json(), again.headers["ETag"]) == (200, paused.json(), paused.headers["ETag"])
    assert since is not None
    assert Queue.objects.get(tenant_id=tenant.id).paused_at == since
    # A change of something else leaves it paused, and since when.
    api.patch(MAIL, {"concurrency": 5}, key=tenant.api_key)
    assert Queue.objects.get(tenant_id=tenant.id).paused_at == since
    resumed = api.post(f"{MAIL}/resume", key=tenant.api_key)
    assert settings_of(resumed) == {**DEFAULTS, "concurrency": 5}
    assert api.post(f"{MAIL}/resume", key=tenant.api_key).headers["ETag"] == resumed.headers["ETag"]


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_and_resume_of_no_queue_and_with_more_to_say_are_refused(api: Any, tenant: Tenant, verb: str) -> None:
    problem(api.post(f"/v1/queues/nobodys/{verb}", key=tenant.api_key), 404, "not-found")
    api.put(MAIL, {}, key=tenant.api_key)
    assert faults(api.post(f"{MAIL}/{verb}", {"for": 5}, key=tenant.api_key)) == {("/for", "unknown-field")}
    assert faults(api.post(f"{MAIL}/{verb}?for=5", key=tenant.api_key)) == {("/for", "unknown-parameter")}


def test_a_queue_is_there_from_its_first_job_on(api: Any, tenant: Tenant) -> None:
    problem(api.get(MAIL, key=tenant.api_key), 404, "not-found")
    api.post("/v1/jobs", {"type": "echo", "queue": "mail"}, key=tenant.api_key)
    assert settings_of(api.get(MAIL, key=tenant.api_key)) == DEFAULTS
    assert api.put(MAIL, {"concurrency": 1}, key=tenant.api_key).status_code == 200


def test_a_job_goes_into_a_queue_that_a_put_made(api: Any, tenant: Tenant) -> None:
    api.put(MAIL, SETTINGS, key=tenant.api_key)
    assert api.post("/v1/jobs", {"type": "echo", "queue": "mail"}, key=tenant.api_key).status_code == 201
    read = api.get(MAIL, key=tenant.api_key)
    assert (settings_of(read), read.json()["counts"]["available"]) == (SETTINGS, 1)


def test_a_queue_shows_what_is_in_it_by_state(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    for owner, queue in ((tenant, "mail"), (tenant, "other"), (other_tenant, "mail")):
        make_job(owner, queue=queue)
        make_job(owner, queue=queue, delay_seconds=60)
        make_job(owner, queue=queue, type="http.request", payload={"url": "http://127.0.0.1:9/"})
    start(claim(2))
    claim(1)
    expected = {name: dict(EMPTY) for name in ("mail", "other")}
    for job in Job.objects.filter(tenant_id=tenant.id):
        expected[job.queue][LiveJob.objects.get(job_id=job.id).state] += 1
    listed = {queue["name"]: queue for queue in api.get("/v1/queues", key=tenant.api_key).json()["data"]}
    assert {name: queue["counts"] for name, queue in listed.items()} == expected
    for name, counts in expected.items():
        assert sum(counts.values()) == 3
        assert listed[name]["running"] == counts["dispatched"] + counts["executing"]
        assert api.get(f"/v1/queues/{name}", key=tenant.api_key).json()["counts"] == counts


def test_the_job_that_waits_longest_is_told_by_its_time_and_not_by_its_turn(api: Any, tenant: Tenant) -> None:
    ages = {"low": (70, 9), "high": (10, 0), "later": (-60, 0)}
    for age, priority in ages.values():
        job = make_job(tenant, queue="mail", priority=priority, delay_seconds=60 if age < 0 else 0)
        live = LiveJob.objects.filter(job_id=Job.objects.latest("id").id)
        assert job["queue"] == "mail"
        if age > 0:
            at = Now() - timedelta(seconds=age)
            live.update(due_at=at, rank=at + timedelta(seconds=60 * priority))
    queue = api.get(MAIL, key=tenant.api_key).json()
    assert queue["oldest_due_seconds"] == pytest.approx(70, abs=20)
    assert queue["oldest_due_at"] < Job.objects.earliest("id").created_at.isoformat()
    # A job whose time has come counts before the dispatcher has seen that.
    LiveJob.objects.filter(state="scheduled").update(due_at=Now() - timedelta(seconds=500))
    assert api.get(MAIL, key=tenant.api_key).json()["oldest_due_seconds"] == pytest.approx(500, abs=20)
    LiveJob.objects.update(state="suspended", suspended_reason="type-disabled", available_at=Now())
    held = api.get(MAIL, key=tenant.api_key).json()
    assert (held["oldest_due_at"], held["oldest_due_seconds"], held["counts"]["suspended"]) == (None, None, 3)


def test_the_list_is_newest_first_and_comes_in_pages(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    api.put("/v1/queues/foreign", {}, key=other_tenant.api_key)
    for name in ("first", "second", "third"):
        api.put(f"/v1/queues/{name}", {}, key=tenant.api_key)
    page = api.get("/v1/queues?limit=2", key=tenant.api_key).json()
    assert [queue["name"] for queue in page["data"]] == ["third", "second"]
    path = f"/v1/queues?limit=2&cursor={page['next_cursor']}"
    rest = api.get(path, key=tenant.api_key).json()
    assert ([queue["name"] for queue in rest["data"]], rest["next_cursor"]) == (["first"], None)
    assert faults(api.get(path, key=other_tenant.api_key)) == {("/cursor", "bad-cursor")}
    assert faults(api.get(path, key=make_key(tenant, "jobs:read", queues=["first"]))) == {("/cursor", "bad-cursor")}
    assert faults(api.get("/v1/queues?name=first", key=tenant.api_key)) == {("/name", "unknown-parameter")}
    assert api.get("/v1/queues?limit=3", key=tenant.api_key).json()["next_cursor"] is None


def test_another_tenants_queue_is_answered_as_an_unknown_one(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    api.put(MAIL, SETTINGS, key=other_tenant.api_key)
    foreign, unknown = (
        without_request_id(api.get(f"/v1/queues/{name}", key=tenant.api_key)) for name in ("mail", "nobodys")
    )
    assert foreign == unknown
    assert foreign[0] == 404
    assert api.put(MAIL, {}, key=tenant.api_key).status_code == 201
    assert settings_of(api.get(MAIL, key=other_tenant.api_key)) == SETTINGS


def test_a_key_limited_to_queues_sees_and_changes_those_alone(api: Any, tenant: Tenant) -> None:
    key = make_key(tenant, "jobs:read", "queues:write", queues=["mail", "letters"])
    for name in ("mail", "secret"):
        api.put(f"/v1/queues/{name}", {"concurrency": 1}, key=tenant.api_key)
    assert [queue["name"] for queue in api.get("/v1/queues", key=key).json()["data"]] == ["mail"]
    for name in ("secret", "nobodys"):
        path = f"/v1/queues/{name}"
        answers = [
            api.get(path, key=key),
            api.put(path, {"concurrency": 5}, key=key),
            api.put(path, {"nonsense": 5}, key=key),
            api.patch(path, {"concurrency": 5}, key=key),
            api.post(f"{path}/pause", key=key),
            api.post(f"{path}/resume", key=key),
        ]
        problem(answers[0], 404, "not-found")
        assert len({str(without_request_id(answer)) for answer in answers}) == 1
    assert settings_of(api.get("/v1/queues/secret", key=tenant.api_key)) == {**DEFAULTS, "concurrency": 1}
    assert not Queue.objects.filter(tenant_id=tenant.id, name="nobodys").exists()
    assert api.put("/v1/queues/letters", {}, key=key).status_code == 201
    assert api.post(f"{MAIL}/pause", key=key).json()["paused"] is True


def test_a_queue_beyond_the_quota_is_refused_whoever_makes_it(api: Any, tenant: Tenant) -> None:
    limit_queues(tenant, 2)
    api.put("/v1/queues/a", {}, key=tenant.api_key)
    assert api.post("/v1/jobs", {"type": "echo", "queue": "b"}, key=tenant.api_key).status_code == 201
    refused = problem(api.put("/v1/queues/c", {}, key=tenant.api_key), 429, "quota-exceeded")
    assert (refused["violated_policies"], refused["limit"], refused["used"]) == (["queues"], 2, 2)
    assert "errors" not in refused
    refused = problem(api.post("/v1/jobs", {"type": "echo", "queue": "c"}, key=tenant.api_key), 429, "quota-exceeded")
    assert (refused["violated_policies"], refused["limit"], refused["used"]) == (["queues"], 2, 2)
    assert [(fault["pointer"], fault["code"]) for fault in refused["errors"]] == [("/queue", "quota-exceeded")]
    # Those that are there work on, also for another pool, and when the quota was lowered.
    limit_queues(tenant, 1)
    for name in ("a", "b"):
        assert api.put(f"/v1/queues/{name}", {"concurrency": 1}, key=tenant.api_key).status_code == 200
        for job in ({"type": "echo"}, {"type": "http.request", "payload": {"url": "http://127.0.0.1:9/"}}):
            assert api.post("/v1/jobs", {**job, "queue": name}, key=tenant.api_key).status_code == 201
    assert Job.objects.filter(tenant_id=tenant.id).count() == 5
    assert set(Queue.objects.filter(tenant_id=tenant.id).values_list("name", flat=True)) == {"a", "b"}


def test_a_tenant_without_a_limit_makes_any_number(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    limit_queues(tenant, None)
    jobs = [{"type": "echo", "queue": f"q{number}"} for number in range(101)]
    assert api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, key=tenant.api_key).status_code == 200
    assert api.put(MAIL, {}, key=tenant.api_key).status_code == 201
    # The default holds for whoever has no limit of its own.
    answer = api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, key=other_tenant.api_key)
    assert faults(answer) == {("/jobs/100/queue", "quota-exceeded")}


def test_an_atomic_group_with_one_queue_too_many_stores_nothing(api: Any, tenant: Tenant) -> None:
    limit_queues(tenant, 2)
    jobs = [{"type": "echo", "queue": queue} for queue in ("a", "b", "a", "c", "b", "d", "c")]
    sent = {"mode": "atomic", "jobs": jobs}
    expected = {(f"/jobs/{place}/queue", "quota-exceeded") for place in (3, 5, 6)}
    assert faults(api.post("/v1/jobs/bulk", sent, key=tenant.api_key)) == expected
    assert (Job.objects.count(), Queue.objects.count()) == (0, 0)


def test_an_atomic_group_tells_queues_too_many_beside_all_other_faults(api: Any, tenant: Tenant) -> None:
    limit_queues(tenant, 0)
    jobs = [
        {"type": "echo", "queue": "a"},
        {"type": "nobodys", "queue": "b"},
        {"type": "echo", "queue": "B"},
    ]
    others = {("/jobs/0/queue", "quota-exceeded"), ("/jobs/1/type", "unknown-job-type")}
    assert faults(api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs[:2]}, key=tenant.api_key)) == others
    answer = api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, key=tenant.api_key)
    # The third job's queue is not known, so its default is asked for; its own fault is told alone.
    assert faults(answer) == others | {("/jobs/2/queue", "bad-format")}


def test_a_partial_group_stores_the_jobs_whose_queues_have_room(api: Any, tenant: Tenant) -> None:
    limit_queues(tenant, 2)
    names = ["a", "b", "c", "a", "c"]
    jobs = [{"type": "echo", "queue": name, "payload": name} for name in names]
    answer = api.post("/v1/jobs/bulk", {"mode": "partial", "jobs": jobs}, key=tenant.api_key)
    entries = answer.json()["data"]
    assert [entry["status"] for entry in entries] == [201, 201, 429, 201, 429]
    assert [entry["job"]["queue"] for entry in entries if "job" in entry] == ["a", "b", "a"]
    refused = entries[2]["problem"]
    assert (refused["code"], refused["violated_policies"], refused["limit"]) == ("quota-exceeded", ["queues"], 2)
    assert [fault["pointer"] for fault in refused["errors"]] == ["/queue"]
    limit_queues(tenant, 0)
    jobs = [{"type": "echo", "queue": "d"}] * 2
    answer = api.post("/v1/jobs/bulk", {"mode": "partial", "jobs": jobs}, key=tenant.api_key)
    assert [entry["status"] for entry in answer.json()["data"]] == [429, 429]
    assert Job.objects.filter(tenant_id=tenant.id).count() == 3
