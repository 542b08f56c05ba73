"""PUT and GET /v1/job-types/{name}, GET /v1/job-types."""

from __future__ import annotations

from typing import Any

import pytest

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
        ({**HTTP, "payload_schema": {}}, {("/payload_schema", "not-supported")}),
        ({**HTTP, "on_crash": "discard"}, {("/on_crash", "not-supported")}),
        ({**HTTP, "shell": 1}, {("/shell", "unknown-field")}),
        ({**HTTP, "defaults": {"tags": {}}}, {("/defaults/tags", "unknown-field")}),
        ({**HTTP, "defaults": {"priority": "1"}}, {("/defaults/priority", "wrong-type")}),
        ({"executor": "http", "http": {}}, {("/http/url", "required")}),
        ({"executor": "http", "http": {"url": URL, "signing": {"own": True}}}, {("/http/signing", "not-supported")}),
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
