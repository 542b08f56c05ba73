"""What makes up a unique key, and what is refused of `unique`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from jobservice import statements
from jobservice.jobs.models import UniqueClaim
from tests.api.keys import faults, problem
from tests.factories import Tenant
from tests.jobs.dispatching import claim, outcome_of, record, start

pytestmark = pytest.mark.django_db

KEY = {"key": "invoice-42"}


def submit(api: Any, tenant: Tenant, unique: Any = KEY, **fields: Any) -> Any:
    return api.post("/v1/jobs", {"type": "echo", **fields, "unique": unique}, key=tenant.api_key)


A = {"payload_pointers": ["/a"]}
SAME: list[tuple[Any, Any, Any, Any]] = [
    ({"key": "a"}, {"queue": "x"}, {"key": "a", "period_seconds": 5, "while": "waiting"}, {"queue": "y"}),
    ({"fields": ["type", "queue"]}, {"payload": 1}, {"fields": ["queue", "type"]}, {"payload": 2}),
    ({"fields": ["queue", "priority"]}, {}, {"fields": ["priority", "queue"]}, {"queue": "default", "priority": 0}),
    ({"fields": ["tags"]}, {"tags": {"a": "1", "b": "2"}}, {"fields": ["tags"]}, {"tags": {"b": "2", "a": "1"}}),
    (A, {"payload": {"a": 1, "b": 1}}, A, {"payload": {"a": 1}}),
    (A, {"payload": {"a": 1}}, A, {"payload": {"a": 1.0}}),
    (A, {"payload": {"a": [{"n": 1e2}]}}, A, {"payload": {"a": [{"n": 100}]}}),
    (A, {"payload": {"a": 0}}, A, {"payload": {"a": -0.0}}),
    (A, {"payload": {}}, A, {"payload": None}),
    (
        {"payload_pointers": [""]},
        {"payload": {"a": 1, "b": 2}},
        {"payload_pointers": [""]},
        {"payload": {"b": 2, "a": 1}},
    ),
    (
        {"payload_pointers": ["/a", "/b"]},
        {"payload": {"a": 1}},
        {"payload_pointers": ["/b", "/a"]},
        {"payload": {"a": 1}},
    ),
    # What lies inside of what another pointer finds adds nothing.
    (
        {"payload_pointers": ["/a", "/a/b"]},
        {"payload": {"a": {"b": 1}, "ab": 1}},
        {"payload_pointers": ["/a/b", "/a"]},
        {"payload": {"a": {"b": 1.0}, "ab": 2}},
    ),
    ({"payload_pointers": ["/-"]}, {"payload": [1]}, {"payload_pointers": ["/-"]}, {"payload": [2]}),
    ({"payload_pointers": ["/01"]}, {"payload": [1, 2]}, {"payload_pointers": ["/01"]}, {"payload": [1, 3]}),
]
B = {"payload_pointers": ["/b"]}
DEEP = {"payload_pointers": ["/a~1b/~01/1"]}
DIFFERENT: list[tuple[Any, Any, Any, Any]] = [
    ({"key": "a"}, {}, {"key": "A"}, {}),
    ({"key": "é"}, {}, {"key": "e\u0301"}, {}),
    ({"key": "type"}, {}, {"fields": ["type"]}, {}),
    ({"fields": ["type"]}, {}, {"fields": ["queue"]}, {}),
    ({"fields": ["type"]}, {}, {"fields": ["type", "queue"]}, {}),
    ({"fields": ["queue"]}, {"queue": "x"}, {"fields": ["queue"]}, {"queue": "y"}),
    ({"fields": ["type"]}, {}, {"fields": ["type"]}, {"type": "sleep", "payload": {"seconds": 1}}),
    ({"fields": ["tags"]}, {"tags": {"a": "1"}}, {"fields": ["tags"]}, {}),
    (A, {"payload": {"a": None}}, A, {"payload": {}}),
    (A, {"payload": {"a": []}}, A, {"payload": {}}),
    (A, {"payload": {"a": 1}}, A, {"payload": {"a": True}}),
    (A, {"payload": {"a": 1}}, A, {"payload": {"a": "1"}}),
    (A, {"payload": {"a": [1, 2]}}, A, {"payload": {"a": [2, 1]}}),
    (
        {"payload_pointers": ["/a", "/a/b"]},
        {"payload": {"a": {"b": 1}}},
        {"payload_pointers": ["/a", "/a/b"]},
        {"payload": {"a": {"b": 2}}},
    ),
    (
        {"payload_pointers": ["/a", "/ab"]},
        {"payload": {"a": 1, "ab": 1}},
        {"payload_pointers": ["/a", "/ab"]},
        {"payload": {"a": 1, "ab": 2}},
    ),
    (A, {"payload": {"a": "1.0"}}, A, {"payload": {"a": "1"}}),
    (A, {"payload": {"a": 1.5}}, A, {"payload": {"a": 1}}),
    (A, {"payload": {"a": 1, "b": 1}}, B, {"payload": {"a": 1, "b": 1}}),
    (A, {"payload": {"a": 1}}, {**A, "fields": ["type"]}, {"payload": {"a": 1}}),
    (DEEP, {"payload": {"a/b": {"~1": [0, 7]}}}, DEEP, {"payload": {"a/b": {"~1": [0, 8]}}}),
]


@pytest.mark.parametrize(("first", "fields", "second", "others"), SAME)
def test_the_same_key(api: Any, tenant: Tenant, first: Any, fields: Any, second: Any, others: Any) -> None:
    assert submit(api, tenant, first, **fields).status_code == 201
    assert submit(api, tenant, second, **others).status_code == 200


@pytest.mark.parametrize(("first", "fields", "second", "others"), DIFFERENT)
def test_another_key(api: Any, tenant: Tenant, first: Any, fields: Any, second: Any, others: Any) -> None:
    assert submit(api, tenant, first, **fields).status_code == 201
    assert submit(api, tenant, second, **others).status_code == 201


def test_a_types_default_queue_counts_as_if_it_were_given(api: Any, tenant: Tenant) -> None:
    spec = {"executor": "handler", "handler": "echo", "defaults": {"queue": "mail"}}
    api.put("/v1/job-types/mailed", spec, key=tenant.api_key)
    unique = {"fields": ["queue"]}
    assert submit(api, tenant, unique, type="mailed").status_code == 201
    assert submit(api, tenant, unique, queue="mail").status_code == 200


def test_a_key_of_pointers_alone_is_the_same_for_every_type(api: Any, tenant: Tenant) -> None:
    unique = {"payload_pointers": ["/seconds"]}
    assert submit(api, tenant, unique, type="sleep", payload={"seconds": 1}).status_code == 201
    assert submit(api, tenant, unique, payload={"seconds": 1}).status_code == 200


def test_another_tenants_key_is_another(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    assert submit(api, tenant).status_code == 201
    assert submit(api, other_tenant).status_code == 201
    assert len({bytes(row.hash) for row in UniqueClaim.objects.all()}) == 2


def test_a_free_key_costs_no_statement_of_its_own(api: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def ran_by(act: Callable[[], Any]) -> list[str]:
        ran.clear()
        with connection.execute_wrapper(note_query):
            act()
        # What a process does once a second may fall here on a slow machine: it borrows requests, looks for new keys.
        return [name for name in ran if name != "take_requests" and "key_changes" not in name]

    ran: list[str] = []
    read = statements.read_statement

    def note(path: Path) -> str:
        ran.append(path.stem)
        return read(path)

    def note_query(execute: Callable[..., Any], text: str, *rest: Any) -> Any:
        if text.startswith("SELECT"):
            ran.append(text)
        return execute(text, *rest)

    monkeypatch.setattr(statements, "read_statement", note)
    submit(api, tenant, None)  # makes the lane
    without = ran_by(lambda: submit(api, tenant, None))
    assert not {name for name in without if "claims" in name or "unique" in name}
    assert ran_by(lambda: submit(api, tenant)) == without
    assert ran_by(lambda: submit(api, tenant, {"key": "with a period", "period_seconds": 60})) == without
    assert "release_claims" not in ran_by(lambda: record(outcome_of(start(claim(1))[0])))


def test_a_job_without_a_key_takes_none(api: Any, tenant: Tenant) -> None:
    for _ in range(2):
        assert submit(api, tenant, None).json()["unique_key_set"] is False
    assert not UniqueClaim.objects.exists()


# What is refused.

WRONG: list[tuple[Any, set[tuple[str, str]]]] = [
    ("k", {("/unique", "wrong-type")}),
    ({}, {("/unique", "required")}),
    ({"period_seconds": 5}, {("/unique", "required")}),
    ({"key": None, "fields": None}, {("/unique", "required")}),
    ({"key": "k", "fields": ["type"]}, {("/unique/key", "conflicting-fields")}),
    ({"key": "k", "payload_pointers": ["/a"]}, {("/unique/key", "conflicting-fields")}),
    ({"key": ""}, {("/unique/key", "out-of-range")}),
    ({"key": "k" * 201}, {("/unique/key", "too-long")}),
    ({"key": 7}, {("/unique/key", "wrong-type")}),
    ({"key": "a\x00"}, {("/unique/key", "bad-format")}),
    ({"fields": []}, {("/unique/fields", "out-of-range")}),
    ({"fields": "type"}, {("/unique/fields", "wrong-type")}),
    ({"fields": ["type", "payload"]}, {("/unique/fields/1", "out-of-range")}),
    ({"fields": ["type", "type"]}, {("/unique/fields/1", "not-unique")}),
    ({"fields": ["type", None]}, {("/unique/fields/1", "required")}),
    ({"fields": ["type", 7]}, {("/unique/fields/1", "wrong-type")}),
    ({"payload_pointers": []}, {("/unique/payload_pointers", "out-of-range")}),
    ({"payload_pointers": [f"/{n}" for n in range(17)]}, {("/unique/payload_pointers", "out-of-range")}),
    ({"payload_pointers": ["a"]}, {("/unique/payload_pointers/0", "bad-format")}),
    ({"payload_pointers": ["/a\x00"]}, {("/unique/payload_pointers/0", "bad-format")}),
    ({"payload_pointers": ["/a~2"]}, {("/unique/payload_pointers/0", "bad-format")}),
    ({"payload_pointers": ["/" + "a" * 500]}, {("/unique/payload_pointers/0", "too-long")}),
    ({"payload_pointers": ["/a", "/b", "/a"]}, {("/unique/payload_pointers/2", "not-unique")}),
    ({"key": "k", "period_seconds": 0}, {("/unique/period_seconds", "out-of-range")}),
    ({"key": "k", "period_seconds": 366 * 86_400 + 1}, {("/unique/period_seconds", "out-of-range")}),
    ({"key": "k", "while": "running"}, {("/unique/while", "out-of-range")}),
    ({"key": "k", "on_conflict": "ignore"}, {("/unique/on_conflict", "out-of-range")}),
    ({"key": "k", "while": 1, "nonsense": 1}, {("/unique/while", "wrong-type"), ("/unique/nonsense", "unknown-field")}),
]


@pytest.mark.parametrize(("unique", "expected"), WRONG)
def test_a_wrong_unique_is_refused_with_its_place(api: Any, tenant: Tenant, unique: Any, expected: Any) -> None:
    assert faults(submit(api, tenant, unique)) == expected
    assert not UniqueClaim.objects.exists()


def test_the_widest_options_are_taken(api: Any, tenant: Tenant) -> None:
    assert submit(api, tenant, {"key": "k" * 200, "period_seconds": 366 * 86_400}).status_code == 201
    pointers = [f"/{'a' * 497}{n:02}" for n in range(16)]
    wide = {"fields": ["tags", "priority", "queue", "type"], "payload_pointers": pointers}
    assert submit(api, tenant, wide).status_code == 201


def test_a_job_that_is_refused_takes_no_key(api: Any, tenant: Tenant) -> None:
    assert problem(submit(api, tenant, type="nobody.knows"), 422, "unknown-job-type")
    assert not UniqueClaim.objects.exists()
