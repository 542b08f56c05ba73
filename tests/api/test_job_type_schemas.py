"""The `payload_schema` of a job type: shown as it was sent, and held against the payload of each job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobservice.handlers import handler, registry
from jobservice.jobs import operator_handlers
from tests.api.keys import faults, problem
from tests.api.test_job_types import HTTP, delete

pytestmark = pytest.mark.django_db
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
