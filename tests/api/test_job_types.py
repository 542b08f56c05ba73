"""PUT and GET /v1/job-types/{name}, GET /v1/job-types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobservice.ids import JOB, parse_id
from jobservice.jobs.models import Job
from tenants.plans import set_quotas
from tenants.quotas import QuotaChange
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.jobs.throttling import throttle

pytestmark = pytest.mark.django_db
URL = "https://example.com/work?token=t"
HTTP = {"executor": "http", "http": {"url": URL, "headers": {"X-Token": "s3cret"}}}


def test_a_type_is_made_then_replaced(api: Any, tenant: Any) -> None:
    made = api.put("/v1/job-types/invoice.render", {**HTTP, "defaults": {"max_attempts": 3}}, key=tenant.api_key)
    assert made.status_code == 201
    assert made.headers["Location"] == "/v1/job-types/invoice.render"
    assert made.json()["defaults"] == {"max_attempts": 3}
    again = api.put("/v1/job-types/invoice.render", HTTP, key=tenant.api_key)
    assert again.status_code == 200
    assert again.headers["ETag"] != made.headers["ETag"]
    assert again.json()["defaults"] == {}
    assert again.json()["id"] == made.json()["id"]
    read = api.get("/v1/job-types/invoice.render", key=tenant.api_key)
    assert (read.json(), read.headers["ETag"]) == (again.json(), again.headers["ETag"])


def test_header_values_are_never_shown(api: Any, tenant: Any) -> None:
    answers = [
        api.put("/v1/job-types/mine", HTTP, key=tenant.api_key),
        api.get("/v1/job-types/mine", key=tenant.api_key),
        api.get("/v1/job-types", key=tenant.api_key),
    ]
    assert answers[0].json()["http"]["headers"] == {"X-Token": "***"}
    assert not any(b"s3cret" in answer.content for answer in answers)


def put(api: Any, tenant: Any, **headers: str) -> Any:
    return api.put("/v1/job-types/mine", HTTP, key=tenant.api_key, **headers)


def test_if_match_protects_what_changed(api: Any, tenant: Any) -> None:
    problem(put(api, tenant, If_Match="*"), 412, "precondition-failed")
    first = put(api, tenant).headers["ETag"]
    second = put(api, tenant, If_Match=first)
    assert second.status_code == 200
    problem(put(api, tenant, If_Match=first), 412, "precondition-failed")
    problem(put(api, tenant, If_Match=f"W/{second.headers['ETag']}"), 412, "precondition-failed")
    assert api.get("/v1/job-types/mine", key=tenant.api_key).headers["ETag"] == second.headers["ETag"]
    assert put(api, tenant, If_Match=f'"7", {second.headers["ETag"]}').status_code == 200


def test_the_tag_of_a_deleted_type_is_not_that_of_the_one_made_anew(api: Any, tenant: Any) -> None:
    old = put(api, tenant).headers["ETag"]
    assert delete(api, "mine", key=tenant.api_key, If_Match=old).status_code == 204
    new = put(api, tenant).headers["ETag"]
    problem(delete(api, "mine", key=tenant.api_key, If_Match=old), 412, "precondition-failed")
    assert api.get("/v1/job-types/mine", key=tenant.api_key, If_None_Match=old).status_code == 200
    assert delete(api, "mine", key=tenant.api_key, If_Match=new).status_code == 204


def test_if_none_match_makes_only_what_is_not_there(api: Any, tenant: Any, other_tenant: Any) -> None:
    put(api, other_tenant)
    made = put(api, tenant, If_None_Match="*")
    assert made.status_code == 201
    tag = made.headers["ETag"]
    for header in ("*", tag, f'"7", W/{tag}'):
        problem(put(api, tenant, If_None_Match=header), 412, "precondition-failed")
        problem(delete(api, "mine", key=tenant.api_key, If_None_Match=header), 412, "precondition-failed")
    # Both conditions must hold.
    problem(put(api, tenant, If_Match=tag, If_None_Match=tag), 412, "precondition-failed")
    assert put(api, tenant, If_Match=tag, If_None_Match='"7"').status_code == 200


@pytest.mark.parametrize("name", ["mine", "echo", "http.request"])
def test_a_type_that_the_client_has_is_not_sent_again(api: Any, tenant: Any, name: str) -> None:
    put(api, tenant)
    path, key = f"/v1/job-types/{name}", tenant.api_key
    tag = api.get(path, key=key).headers["ETag"]
    for header in (tag, f"W/{tag}", f'"7", {tag}', "*"):
        same = api.get(path, key=key, If_None_Match=header)
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
        assert "Content-Type" not in same.headers
    assert api.get(path, key=key, If_None_Match='"7"').status_code == 200
    assert api.get("/v1/job-types/nobodys", key=key, If_None_Match="*").status_code == 404


def test_a_type_whose_endpoint_wants_a_pause_says_until_when_and_a_put_lifts_it(
    api: Any, tenant: Any, other_tenant: Any
) -> None:
    for owner in (tenant, other_tenant):
        assert put(api, owner).json()["throttled_until"] is None
    path, key = "/v1/job-types/mine", tenant.api_key
    tag = api.get(path, key=key).headers["ETag"]
    throttle(tenant, "mine")
    # Its tag is that of its settings, which are the same; what it says is not.
    shown = api.get(path, key=key, If_None_Match=tag)
    assert (shown.status_code, shown.headers["ETag"]) == (200, tag)
    seconds = (
        datetime.fromisoformat(shown.json()["throttled_until"][:-1] + "+00:00") - datetime.now(UTC)
    ).total_seconds()
    assert 50 < seconds <= 60
    [listed] = [one for one in api.get("/v1/job-types", key=key).json()["data"] if one["name"] == "mine"]
    assert listed == shown.json()
    assert api.get(path, key=other_tenant.api_key).json()["throttled_until"] is None
    assert put(api, tenant, If_Match=tag).json()["throttled_until"] is None
    assert api.get(path, key=key).json()["throttled_until"] is None


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


def test_a_key_limited_to_queues_says_of_no_type_where_its_work_is_done(api: Any, tenant: Any) -> None:
    """Jobs of other queues would be sent there, with what is in them."""
    own = {"executor": "http", "http": {"url": URL, "signing": {"own": True}}}
    api.put("/v1/job-types/shared", own, key=tenant.api_key)
    before = api.get("/v1/job-types/shared", key=tenant.api_key)
    key = make_key(tenant, "types:write", "jobs:write", "payloads:read", queues=["mail"])
    for name in ("shared", "new"):
        body = {**HTTP, "http": {"url": "http://127.0.0.1:9/thief"}}
        problem(api.put(f"/v1/job-types/{name}", body, key=key), 403, "forbidden")
        problem(delete(api, name, key=key), 403, "forbidden")
        problem(api.post(f"/v1/job-types/{name}/rotate-secret", key=key), 403, "forbidden")
    assert api.get("/v1/job-types/shared", key=tenant.api_key).content == before.content


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
        ({**HTTP, "on_crash": "ignore"}, {("/on_crash", "out-of-range")}),
        ({**HTTP, "shell": 1}, {("/shell", "unknown-field")}),
        ({**HTTP, "defaults": {"tags": {}}}, {("/defaults/tags", "unknown-field")}),
        ({**HTTP, "defaults": {"priority": "1"}}, {("/defaults/priority", "wrong-type")}),
        ({"executor": "http", "http": {}}, {("/http/url", "required")}),
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


def test_a_tenant_has_as_many_types_as_its_quota_says(api: Any, tenant: Any, other_tenant: Any) -> None:
    set_quotas(tenant.id, QuotaChange({"job_types": 2}))
    for name in ("first", "second"):
        assert api.put(f"/v1/job-types/{name}", HTTP, key=tenant.api_key).status_code == 201
    document = problem(api.put("/v1/job-types/third", HTTP, key=tenant.api_key), 429, "quota-exceeded")
    assert (document["violated_policies"], document["limit"], document["used"]) == (["job_types"], 2, 2)
    assert api.put("/v1/job-types/first", HTTP, key=tenant.api_key).status_code == 200
    assert api.put("/v1/job-types/third", HTTP, key=other_tenant.api_key).status_code == 201
    delete(api, "first", key=tenant.api_key)
    assert api.put("/v1/job-types/third", HTTP, key=tenant.api_key).status_code == 201
    set_quotas(tenant.id, QuotaChange({"job_types": None}))
    assert api.put("/v1/job-types/fourth", HTTP, key=tenant.api_key).status_code == 201


def stored_job(job: dict[str, Any]) -> Job:
    job_id = parse_id(JOB, job["id"])
    assert job_id is not None
    return Job.objects.get(id=job_id)


def delete(api: Any, name: str, *, key: str | None, **headers: str) -> Any:
    return api.call("DELETE", f"/v1/job-types/{name}", None, key, headers)
