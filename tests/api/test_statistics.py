"""GET /v1/statistics, GET and PATCH /v1/error-groups.

Who may call them is in tests/security/test_access_matrix.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.jobs.statistic_reads import COUNTS, QUANTILES
from tests.api.keys import faults, make_key, problem
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.jobs.folding import fold

pytestmark = pytest.mark.django_db
GROUPS = "/v1/error-groups"


def fail(tenant: Tenant, *messages: str, **job: Any) -> None:
    for _ in messages:
        make_job(tenant, max_attempts=1, **job)
    started = [one for one in start(claim()) if one.tenant_id == tenant.id]
    record(
        *[
            outcome_of(one, "failed", error_code="handler-error", error_message=text)
            for one, text in zip(started, messages, strict=True)
        ]
    )
    fold()


def test_a_tenant_that_has_done_nothing_has_an_hour_of_nothing(api: Any, tenant: Tenant) -> None:
    shown = api.get("/v1/statistics", key=tenant.api_key).json()
    unknown = dict.fromkeys(QUANTILES)
    nothing = {**dict.fromkeys(COUNTS, 0), "wait_ms": unknown, "run_ms": unknown}
    assert shown["step"] == "1m"
    assert len(shown["data"]) in (60, 61)
    assert shown["total"] == nothing
    assert shown["data"][0] == {"at": shown["since"], **nothing}


def test_what_happened_is_told_by_queue_and_type(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(other_tenant)
    fail(tenant, "no", queue="mail")
    make_job(tenant)
    fold()
    total = {
        query: api.get(f"/v1/statistics{query}", key=tenant.api_key).json()["total"]
        for query in ("", "?queue=mail", "?queue=default", "?type=echo&queue=mail", "?type=none&step=1d")
    }
    assert [one["accepted"] for one in total.values()] == [2, 1, 1, 1, 0]
    assert [one["discarded"] for one in total.values()] == [1, 1, 0, 1, 0]
    assert total["?queue=mail"]["run_ms"] == {"p50": 11.2, "p95": 11.2, "p99": 11.2}


def test_a_key_limited_to_queues_sees_what_happened_in_them(api: Any, tenant: Tenant) -> None:
    make_job(tenant, queue="mail")
    make_job(tenant)
    fold()
    key = make_key(tenant, "jobs:read", queues=["mail"])
    answers = [api.get(f"/v1/statistics{query}", key=key).json() for query in ("", "?queue=mail", "?queue=default")]
    assert [answer["total"]["accepted"] for answer in answers] == [1, 1, 0]


def test_what_cannot_be_asked_for_is_refused(api: Any, tenant: Tenant) -> None:
    for query, fault in (
        ("step=2m", ("/step", "out-of-range")),
        ("since=yesterday", ("/since", "bad-format")),
        ("since=2020-01-01T00:00:00Z", ("/since", "out-of-range")),
        ("group_by=type", ("/group_by", "unknown-parameter")),
        ("queue=A", ("/queue", "bad-format")),
    ):
        assert faults(api.get(f"/v1/statistics?{query}", key=tenant.api_key)) == {fault}


def test_a_group_is_listed_read_and_resolved(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    fail(other_tenant, "no")
    fail(tenant, "Order 1 is gone", "Order 2 is gone")
    (group,) = api.get(GROUPS, key=tenant.api_key).json()["data"]
    assert (group["type"], group["code"], group["message"]) == ("echo", "handler-error", "Order 1 is gone")
    assert (group["runs"], group["runs_by_hour"][-2:].count(2), group["state"]) == (2, 1, "open")
    path = f"{GROUPS}/{group['id']}"
    assert api.get(path, key=tenant.api_key).json() == group
    resolved = api.patch(path, {"state": "resolved"}, key=tenant.api_key)
    assert resolved.status_code == 200
    assert resolved.json() == {**group, "state": "resolved", "state_changed_at": resolved.json()["state_changed_at"]}
    assert resolved.json()["state_changed_at"] is not None
    again = api.patch(path, {"state": "resolved"}, key=tenant.api_key).json()
    assert again == resolved.json()
    assert api.get(f"{GROUPS}?state=open", key=tenant.api_key).json()["data"] == []
    assert len(api.get(f"{GROUPS}?state=resolved&type=echo", key=tenant.api_key).json()["data"]) == 1


def test_the_jobs_of_a_group_are_listed_and_retried_together(api: Any, tenant: Tenant) -> None:
    fail(tenant, "Order 1 is gone", "Order 2 is gone", "else")
    group = next(one for one in api.get(GROUPS, key=tenant.api_key).json()["data"] if one["runs"] == 2)
    jobs = api.get(f"/v1/jobs?error_group={group['id']}", key=tenant.api_key).json()["data"]
    assert {job["error"]["message"] for job in jobs} == {"Order 1 is gone", "Order 2 is gone"}
    order = {"action": "retry", "filter": {"error_group": group["id"], "state": "discarded"}}
    done = api.post("/v1/jobs/bulk-actions", order, key=tenant.api_key)
    assert (done.status_code, done.json()["matched"], done.json()["done"]) == (200, 2, 2)
    assert done.json()["filter"] == order["filter"]
    assert api.get(f"/v1/jobs?error_group={group['id']}", key=tenant.api_key).json()["data"] == []


def test_what_is_no_group_or_no_state_is_refused(api: Any, tenant: Tenant) -> None:
    fail(tenant, "no")
    (group,) = api.get(GROUPS, key=tenant.api_key).json()["data"]
    path = f"{GROUPS}/{group['id']}"
    assert faults(api.patch(path, {"state": "gone"}, key=tenant.api_key)) == {("/state", "out-of-range")}
    assert faults(api.patch(path, {}, key=tenant.api_key)) == {("/state", "required")}
    assert faults(api.patch(path, {"state": "open", "x": 1}, key=tenant.api_key)) == {("/x", "unknown-field")}
    assert faults(api.patch(path, [], key=tenant.api_key)) == {("", "wrong-type")}
    assert faults(api.get(f"{GROUPS}?state=closed", key=tenant.api_key)) == {("/state", "out-of-range")}
    assert faults(api.get(f"{GROUPS}?cursor=x", key=tenant.api_key)) == {("/cursor", "bad-cursor")}
    assert faults(api.get("/v1/jobs?error_group=job_1", key=tenant.api_key)) == {("/error_group", "bad-format")}
    problem(api.get(f"{GROUPS}/none", key=tenant.api_key), 404, "not-found")
