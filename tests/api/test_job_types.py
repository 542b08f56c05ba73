"""PUT, GET and DELETE /v1/job-types/{name}, GET /v1/job-types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobservice.handlers import handler, registry
from jobservice.ids import JOB, parse_id
from jobservice.jobs import operator_handlers
from jobservice.jobs.models import Job, LiveJob
from tenants.tenancy import find_tenant, set_quotas
from tests.api.keys import faults, make_key, problem, without_request_id

pytestmark = pytest.mark.django_db
URL = "https://example.com/work?token=t"
HTTP = {"executor": "http", "http": {"url": URL, "headers": {"X-Token": "s3cret"}}}


def test_a_type_is_made_then_replaced(api: Any, tenant: Any) -> None:
    made = api.put("/v1/job-types/invoice.render", {**HTTP, "defaults": {"max_attempts": 3}}, key=tenant.api_key)
    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    assert made.headers["Location"] == "/v1/job-types/invoice.render"
    assert made.json()["defaults"] == {"max_attempts": 3}
    again = api.put("/v1/job-types/invoice.render", HTTP, key=tenant.api_key)
    assert (again.status_code, again.headers["ETag"]) == (200, '"2"')
    assert again.json()["defaults"] == {}
    assert again.json()["id"] == made.json()["id"]
    read = api.get("/v1/job-types/invoice.render", key=tenant.api_key)
    assert (read.json(), read.headers["ETag"]) == (again.json(), '"2"')


def test_header_values_are_never_shown(api: Any, tenant: Any) -> None:
    answers = [
        api.put("/v1/job-types/mine", HTTP, key=tenant.api_key),
        api.get("/v1/job-types/mine", key=tenant.api_key),
        api.get("/v1/job-types", key=tenant.api_key),
    ]
    assert answers[0].json()["http"]["headers"] == {"X-Token": "***"}
    assert not any(b"s3cret" in answer.content for answer in answers)


def test_if_match_protects_what_changed(api: Any, tenant: Any) -> None:
    problem(api.put("/v1/job-types/mine", HTTP, key=tenant.api_key, If_Match="*"), 412, "precondition-failed")
    api.put("/v1/job-types/mine", HTTP, key=tenant.api_key)
    assert api.put("/v1/job-types/mine", HTTP, key=tenant.api_key, If_Match='"1"').status_code == 200
    problem(api.put("/v1/job-types/mine", HTTP, key=tenant.api_key, If_Match='"1"'), 412, "precondition-failed")
    assert api.get("/v1/job-types/mine", key=tenant.api_key).headers["ETag"] == '"2"'
    assert api.put("/v1/job-types/mine", HTTP, key=tenant.api_key, If_Match='"7", "2"').status_code == 200


@pytest.mark.parametrize("name", ["echo", "sleep", "fail", "http.request"])
def test_built_in_types_are_shown_and_cannot_be_put(api: Any, tenant: Any, name: str) -> None:
    problem(api.put(f"/v1/job-types/{name}", HTTP, key=tenant.api_key), 409, "conflict")
    assert api.get(f"/v1/job-types/{name}", key=tenant.api_key).json()["built_in"] is True


def test_the_list_has_own_types_first_and_comes_in_pages(api: Any, tenant: Any, other_tenant: Any) -> None:
    for name in ("first", "second"):
        api.put(f"/v1/job-types/{name}", HTTP, key=tenant.api_key)
    api.put("/v1/job-types/foreign", HTTP, key=other_tenant.api_key)
    whole = [job_type["name"] for job_type in api.get("/v1/job-types", key=tenant.api_key).json()["data"]]
    assert whole[:2] == ["second", "first"]
    assert {"echo", "fail", "http.request", "sleep"} <= set(whole[2:])
    assert "foreign" not in whole
    page = api.get("/v1/job-types?limit=1", key=tenant.api_key).json()
    rest = api.get(f"/v1/job-types?cursor={page['next_cursor']}", key=tenant.api_key).json()
    assert [job_type["name"] for job_type in page["data"] + rest["data"]] == whole
    assert rest["next_cursor"] is None
    answer = api.get(f"/v1/job-types?cursor={page['next_cursor']}", key=other_tenant.api_key)
    assert faults(answer) == {("/cursor", "bad-cursor")}


def test_another_tenants_type_is_answered_as_an_unknown_one(api: Any, tenant: Any, other_tenant: Any) -> None:
    api.put("/v1/job-types/theirs", HTTP, key=other_tenant.api_key)
    foreign, unknown = (
        without_request_id(api.get(f"/v1/job-types/{n}", key=tenant.api_key)) for n in ("theirs", "nobodys")
    )
    assert foreign == unknown
    assert foreign[0] == 404
    assert api.put("/v1/job-types/theirs", HTTP, key=tenant.api_key).status_code == 201


def test_each_operation_needs_a_key_and_its_scope(api: Any, tenant: Any) -> None:
    problem(api.put("/v1/job-types/mine", HTTP), 401, "unauthenticated")
    problem(api.put("/v1/job-types/mine", HTTP, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")
    problem(delete(api, "mine", key=None), 401, "unauthenticated")
    problem(delete(api, "mine", key=make_key(tenant, "jobs:read", "jobs:write")), 403, "insufficient-scope")
    for path in ("/v1/job-types", "/v1/job-types/echo"):
        problem(api.get(path), 401, "unauthenticated")
        problem(api.get(path, key=make_key(tenant, "types:write")), 403, "insufficient-scope")


def test_a_job_of_the_type_takes_its_defaults(api: Any, tenant: Any) -> None:
    body = {"executor": "handler", "handler": "echo", "defaults": {"queue": "mail", "priority": 4, "max_attempts": 2}}
    api.put("/v1/job-types/mine", body, key=tenant.api_key)
    job = api.post("/v1/jobs", {"type": "mine", "priority": 1}, key=tenant.api_key).json()
    assert (job["queue"], job["priority"], job["max_attempts"], job["executor"]) == ("mail", 1, 2, "handler")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("/executor", "required")}),
        ({"executor": "http"}, {("/http", "required")}),
        ({"executor": "handler"}, {("/handler", "required")}),
        ({"executor": "pull"}, {("/executor", "not-supported")}),
        ({"executor": "shell"}, {("/executor", "out-of-range")}),
        ({"executor": "handler", "handler": "nobodys"}, {("/handler", "out-of-range")}),
        ({**HTTP, "handler": "echo"}, {("/handler", "conflicting-fields")}),
        ({**HTTP, "payload_schema": []}, {("/payload_schema", "wrong-type")}),
        ({**HTTP, "payload_schema": {"type": "strin"}}, {("/payload_schema/type", "bad-format")}),
        ({**HTTP, "payload_schema": {"$ref": "http://x/"}}, {("/payload_schema/$ref", "not-supported")}),
        ({**HTTP, "payload_schema": {"const": "a\0"}}, {("/payload_schema", "bad-format")}),
        ({"payload_schema": 1}, {("/executor", "required"), ("/payload_schema", "wrong-type")}),
        ({**HTTP, "on_crash": "discard"}, {("/on_crash", "not-supported")}),
        ({**HTTP, "shell": 1}, {("/shell", "unknown-field")}),
        ({**HTTP, "defaults": {"tags": {}}}, {("/defaults/tags", "unknown-field")}),
        ({**HTTP, "defaults": {"priority": "1"}}, {("/defaults/priority", "wrong-type")}),
        ({"executor": "http", "http": {}}, {("/http/url", "required")}),
        ({"executor": "http", "http": {"url": URL, "signing": {"own": True}}}, {("/http/signing", "not-supported")}),
        (
            {"executor": "http", "http": {"url": URL, "signing": {"scheme": "v1", "own": 0}}},
            {("/http/signing", "not-supported")},
        ),
        ({"executor": "http", "http": {"url": URL, "headers": {"A": 1}}}, {("/http/headers/A", "wrong-type")}),
        ({"executor": "http", "http": {"url": URL, "headers": {"A": "***"}}}, {("/http/headers/A", "bad-format")}),
        ({"executor": "http", "http": {"url": URL, "headers": {"A": "x\r\ny"}}}, {("/http/headers", "bad-format")}),
        ({"executor": "http", "http": {"url": URL, "headers": {"Host": "x"}}}, {("/http/headers", "bad-format")}),
        ([], {("", "wrong-type")}),
    ],
)
def test_invalid_bodies_are_refused(api: Any, tenant: Any, body: Any, expected: set[tuple[str, str]]) -> None:
    assert faults(api.put("/v1/job-types/mine", body, key=tenant.api_key)) == expected
    problem(api.get("/v1/job-types/mine", key=tenant.api_key), 404, "not-found")


def test_what_is_shown_can_be_put_back_when_no_header_hides_a_value(api: Any, tenant: Any) -> None:
    shown = api.put("/v1/job-types/mine", {"executor": "http", "http": {"url": URL}}, key=tenant.api_key).json()
    body = {name: shown[name] for name in ("executor", "http", "handler", "payload_schema", "defaults", "on_crash")}
    assert api.put("/v1/job-types/mine", body, key=tenant.api_key).status_code == 200


def test_a_refused_url_is_a_problem_of_its_own(api: Any, tenant: Any) -> None:
    body = {"executor": "http", "http": {"url": "ftp://example.com/"}}
    problem(api.put("/v1/job-types/mine", body, key=tenant.api_key), 422, "egress-refused")


@pytest.mark.parametrize("name", ["Upper", "-x", "a" * 101, "a%00", "%C3%28"])
def test_a_name_out_of_form_cannot_be_put_and_is_not_found(api: Any, tenant: Any, name: str) -> None:
    assert faults(api.put(f"/v1/job-types/{name}", HTTP, key=tenant.api_key)) == {("/name", "bad-format")}
    problem(api.get(f"/v1/job-types/{name}", key=tenant.api_key), 404, "not-found")


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An invoice: ä, \\u0000, 1e3",
    "type": "object",
    "required": ["number"],
    "properties": {"number": {"type": "integer", "minimum": 1}, "lines": {"items": {"$ref": "#/$defs/line"}}},
    "$defs": {"line": {"type": "string", "maxLength": 3, "default": None}},
    "examples": [{"number": 1.0}, None, 12345678901234567890, 0.1],
}


@pytest.mark.parametrize("schema", [SCHEMA, {}, True, False])
def test_a_schema_is_shown_as_it_was_sent(api: Any, tenant: Any, schema: Any) -> None:
    answers = [
        api.put("/v1/job-types/mine", {**HTTP, "payload_schema": schema}, key=tenant.api_key),
        api.get("/v1/job-types/mine", key=tenant.api_key),
        api.put("/v1/job-types/mine", {**HTTP, "payload_schema": schema}, key=tenant.api_key),
    ]
    assert [answer.json()["payload_schema"] for answer in answers] == [schema] * 3
    listed = api.get("/v1/job-types", key=tenant.api_key).json()["data"][0]
    assert listed["payload_schema"] == schema
    assert api.put("/v1/job-types/mine", HTTP, key=tenant.api_key).json()["payload_schema"] is None


def test_a_payload_against_the_schema_is_told_where_it_breaks(api: Any, tenant: Any) -> None:
    api.put("/v1/job-types/mine", {**HTTP, "payload_schema": SCHEMA}, key=tenant.api_key)
    right = {"type": "mine", "payload": {"number": 1, "lines": ["abc"]}}
    assert api.post("/v1/jobs", right, key=tenant.api_key).status_code == 201
    wrong = {"type": "mine", "payload": {"number": 0, "lines": ["abc", "abcd", 1]}}
    assert faults(api.post("/v1/jobs", wrong, key=tenant.api_key)) == {
        ("/payload/number", "out-of-range"),
        ("/payload/lines/1", "too-long"),
        ("/payload/lines/2", "wrong-type"),
    }
    assert faults(api.post("/v1/jobs", {"type": "mine"}, key=tenant.api_key)) == {("/payload", "wrong-type")}
    assert len(api.get("/v1/jobs", key=tenant.api_key).json()["data"]) == 1


def test_each_job_of_a_group_is_checked(api: Any, tenant: Any) -> None:
    api.put("/v1/job-types/mine", {**HTTP, "payload_schema": {"type": "null"}}, key=tenant.api_key)
    jobs = [{"type": "mine"}, {"type": "mine", "payload": 1}, {"type": "echo", "payload": 1}]
    answer = api.post("/v1/jobs/bulk", {"mode": "partial", "jobs": jobs}, key=tenant.api_key)
    assert [item["status"] for item in answer.json()["data"]] == [201, 422, 201]
    answer = api.post("/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, key=tenant.api_key)
    assert faults(answer) == {("/jobs/1/payload", "wrong-type")}


def test_a_changed_schema_holds_for_the_next_job(api: Any, tenant: Any, other_tenant: Any) -> None:
    job = {"type": "mine", "payload": 1}

    def statuses(schema: Any) -> list[int]:
        body = HTTP if schema is None else {**HTTP, "payload_schema": schema}
        api.put("/v1/job-types/mine", body, key=tenant.api_key)
        return [api.post("/v1/jobs", job, key=tenant.api_key).status_code for _ in range(2)]

    api.put("/v1/job-types/mine", {**HTTP, "payload_schema": False}, key=other_tenant.api_key)
    assert statuses({"type": "integer"}) == [201, 201]
    assert statuses({"type": "string"}) == [422, 422]
    assert statuses(None) == [201, 201]
    assert statuses(False) == [422, 422]
    assert api.post("/v1/jobs", job, key=other_tenant.api_key).status_code == 422


def test_a_type_made_anew_has_none_of_the_old_one(api: Any, tenant: Any) -> None:
    for schema in ({"type": "string"}, {"type": "integer"}):
        api.put("/v1/job-types/mine", {**HTTP, "payload_schema": schema}, key=tenant.api_key)
        refused = faults(api.post("/v1/jobs", {"type": "mine", "payload": None}, key=tenant.api_key))
        assert refused == {("/payload", "wrong-type")}
        assert delete(api, "mine", key=tenant.api_key).status_code == 204
    problem(api.post("/v1/jobs", {"type": "mine"}, key=tenant.api_key), 422, "unknown-job-type")


def test_every_default_of_a_type_holds_until_the_job_says_otherwise(api: Any, tenant: Any) -> None:
    retry = {"strategy": "fixed", "initial_seconds": 7, "jitter": 0}
    defaults = {"queue": "mail", "priority": 4, "timeout_seconds": 90, "max_attempts": 2, "retry": retry}
    api.put("/v1/job-types/mine", {**HTTP, "defaults": defaults}, key=tenant.api_key)

    def options(**own: Any) -> dict[str, Any]:
        job = api.post("/v1/jobs", {"type": "mine", **own}, key=tenant.api_key).json()
        stored = stored_job(job)
        return {name: getattr(stored, name) for name in defaults}

    assert options() == defaults
    own = {"queue": "post", "priority": 0, "timeout_seconds": 1, "max_attempts": 100}
    assert options(**own) == {**defaults, **own}
    assert options(retry={"initial_seconds": 1})["retry"] == {**retry, "initial_seconds": 1}
    assert options(retry={})["retry"] == retry
    assert options(retry=None, queue=None) == defaults


def test_a_job_that_names_a_strategy_leaves_its_types_schedule(api: Any, tenant: Any) -> None:
    defaults = {"retry": {"schedule_seconds": [1, 2], "jitter": 0}}
    api.put("/v1/job-types/mine", {**HTTP, "defaults": defaults}, key=tenant.api_key)
    body = {"type": "mine", "retry": {"strategy": "fixed"}}
    job = api.post("/v1/jobs", body, key=tenant.api_key).json()
    assert stored_job(job).retry == {"strategy": "fixed", "jitter": 0}


def test_a_type_is_deleted(api: Any, tenant: Any) -> None:
    api.put("/v1/job-types/mine", HTTP, key=tenant.api_key)
    answer = delete(api, "mine", key=tenant.api_key)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.get("/v1/job-types/mine", key=tenant.api_key), 404, "not-found")
    problem(delete(api, "mine", key=tenant.api_key), 404, "not-found")


def test_another_tenants_type_is_not_deleted(api: Any, tenant: Any, other_tenant: Any) -> None:
    api.put("/v1/job-types/theirs", HTTP, key=other_tenant.api_key)
    foreign, unknown = (without_request_id(delete(api, name, key=tenant.api_key)) for name in ("theirs", "nobodys"))
    assert foreign == unknown
    assert foreign[0] == 404
    assert api.get("/v1/job-types/theirs", key=other_tenant.api_key).status_code == 200


@pytest.mark.parametrize("name", ["echo", "http.request"])
def test_a_built_in_type_is_not_deleted(api: Any, tenant: Any, name: str) -> None:
    problem(delete(api, name, key=tenant.api_key), 409, "conflict")


@pytest.mark.parametrize("name", ["Upper", "a" * 101, "a%00"])
def test_a_name_out_of_form_is_not_there_to_delete(api: Any, tenant: Any, name: str) -> None:
    problem(delete(api, name, key=tenant.api_key), 404, "not-found")


def test_if_match_protects_from_deleting_what_changed(api: Any, tenant: Any) -> None:
    for _ in range(2):
        api.put("/v1/job-types/mine", HTTP, key=tenant.api_key)
    problem(delete(api, "mine", key=tenant.api_key, If_Match='"1"'), 412, "precondition-failed")
    assert delete(api, "mine", key=tenant.api_key, If_Match='"2"').status_code == 204


def test_a_type_with_unfinished_jobs_stays(api: Any, tenant: Any) -> None:
    api.put("/v1/job-types/mine", HTTP, key=tenant.api_key)
    for _ in range(2):
        api.post("/v1/jobs", {"type": "mine"}, key=tenant.api_key)
    document = problem(delete(api, "mine", key=tenant.api_key), 409, "conflict")
    assert "2 unfinished jobs" in document["detail"]
    LiveJob.objects.filter(tenant_id=tenant.id).delete()
    assert delete(api, "mine", key=tenant.api_key).status_code == 204


def test_unknown_parameters_of_a_delete_are_refused(api: Any, tenant: Any) -> None:
    answer = api.call("DELETE", "/v1/job-types/mine?force=true", None, tenant.api_key, {})
    assert faults(answer) == {("/force", "unknown-parameter")}


def test_a_tenant_has_as_many_types_as_its_quota_says(api: Any, tenant: Any, other_tenant: Any) -> None:
    set_quotas(find_tenant(tenant.name), {"job_types": 2})
    for name in ("first", "second"):
        assert api.put(f"/v1/job-types/{name}", HTTP, key=tenant.api_key).status_code == 201
    document = problem(api.put("/v1/job-types/third", HTTP, key=tenant.api_key), 429, "quota-exceeded")
    assert (document["violated_policies"], document["limit"], document["used"]) == (["job_types"], 2, 2)
    assert api.put("/v1/job-types/first", HTTP, key=tenant.api_key).status_code == 200
    assert api.put("/v1/job-types/third", HTTP, key=other_tenant.api_key).status_code == 201
    delete(api, "first", key=tenant.api_key)
    assert api.put("/v1/job-types/third", HTTP, key=tenant.api_key).status_code == 201
    set_quotas(find_tenant(tenant.name), {"job_types": None})
    assert api.put("/v1/job-types/fourth", HTTP, key=tenant.api_key).status_code == 201


@pytest.fixture
def _handler_with_schema(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    handler("trial.count", payload_schema={"type": "object", "required": ["n"]})(lambda payload, job: payload)
    operator_handlers.installed_handlers.cache_clear()
    yield
    operator_handlers.installed_handlers.cache_clear()


@pytest.mark.usefixtures("_handler_with_schema")
def test_a_handlers_schema_is_shown_and_holds_for_types_that_use_it(api: Any, tenant: Any) -> None:
    shown = api.get("/v1/job-types/trial.count", key=tenant.api_key).json()
    assert shown["payload_schema"] == {"type": "object", "required": ["n"]}
    own = {"executor": "handler", "handler": "trial.count", "payload_schema": {"maxProperties": 1}}
    assert api.put("/v1/job-types/mine", own, key=tenant.api_key).json()["payload_schema"] == {"maxProperties": 1}
    for name, payload, expected in (
        ("trial.count", {}, {("/payload/n", "required")}),
        ("mine", {}, {("/payload/n", "required")}),
        ("mine", {"n": 1, "m": 1}, {("/payload", "too-long")}),
    ):
        assert faults(api.post("/v1/jobs", {"type": name, "payload": payload}, key=tenant.api_key)) == expected
        right = {"type": name, "payload": {"n": 1}}
        assert api.post("/v1/jobs", right, key=tenant.api_key).status_code == 201


def stored_job(job: dict[str, Any]) -> Job:
    job_id = parse_id(JOB, job["id"])
    assert job_id is not None
    return Job.objects.get(id=job_id)


def delete(api: Any, name: str, *, key: str | None, **headers: str) -> Any:
    return api.call("DELETE", f"/v1/job-types/{name}", None, key, headers)
