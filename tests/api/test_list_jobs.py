"""GET /v1/jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.keys import faults, make_key, problem
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def shown(api: Any, tenant: Any, query: str = "") -> list[str]:
    answer = api.get(f"/v1/jobs{query}", key=tenant.api_key)
    assert answer.status_code == 200, answer.content
    return [job["id"] for job in answer.json()["data"]]


def test_jobs_are_listed_newest_first(api: Any, tenant: Any) -> None:
    made = [make_job(tenant)["id"] for _ in range(3)]
    answer = api.get("/v1/jobs", key=tenant.api_key).json()
    assert [job["id"] for job in answer["data"]] == made[::-1]
    assert answer["next_cursor"] is None


def test_an_empty_list_is_an_answer(api: Any, tenant: Any, other_tenant: Any) -> None:
    make_job(other_tenant)
    assert api.get("/v1/jobs", key=tenant.api_key).json() == {"data": [], "next_cursor": None}


def test_listing_needs_a_key_and_its_scope(api: Any, tenant: Any) -> None:
    problem(api.get("/v1/jobs"), 401, "unauthenticated")
    problem(api.get("/v1/jobs", key=make_key(tenant, "jobs:write")), 403, "insufficient-scope")


def test_pages_follow_each_other_without_gap_or_overlap(api: Any, tenant: Any) -> None:
    made = [make_job(tenant)["id"] for _ in range(5)]
    seen, cursor = [], ""
    for _ in range(3):
        page = api.get(f"/v1/jobs?limit=2{cursor}", key=tenant.api_key).json()
        seen += [job["id"] for job in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    assert page["next_cursor"] is None


def test_a_limit_over_the_maximum_is_clamped(api: Any, tenant: Any) -> None:
    make_job(tenant)
    assert len(shown(api, tenant, "?limit=100000")) == 1


@pytest.mark.parametrize("query", ["state=waiting", "priority=10", "limit=0"])
def test_values_out_of_range_are_refused(api: Any, tenant: Any, query: str) -> None:
    answer = api.get(f"/v1/jobs?{query}", key=tenant.api_key)
    assert {code for _, code in faults(answer)} == {"out-of-range"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "limit=%D9%A1",
        "limit=99999999999999999999",
        "priority=1.0",
        "queue=A%00",
        "type=",
        "tag=customer",
        "tag=A:1",
        "tag=a:%00",
        "created_after=yesterday",
        "created_before=2026-01-01T00:00:00",
        "created_after=0001-01-01T00:00:00%2B23:59",
        "state=completed&state=discarded",
    ],
)
def test_values_that_cannot_be_read_are_refused(api: Any, tenant: Any, query: str) -> None:
    answer = api.get(f"/v1/jobs?{query}", key=tenant.api_key)
    assert {code for _, code in faults(answer)} == {"bad-format"}


def test_an_unknown_filter_is_refused(api: Any, tenant: Any) -> None:
    assert faults(api.get("/v1/jobs?status=done&o%00=1", key=tenant.api_key)) == {
        ("/status", "unknown-parameter"),
        ("/o\x00", "unknown-parameter"),
    }


def test_filters_choose(api: Any, tenant: Any) -> None:
    plain = make_job(tenant)["id"]
    other = make_job(tenant, type="sleep", queue="mail", priority=3, delay_seconds=60, tags={"a": "1", "b": "x:y"})[
        "id"
    ]
    for query in ("type=sleep", "queue=mail", "priority=3", "state=scheduled", "tag=a:1", "tag=a:1&tag=b:x:y"):
        assert shown(api, tenant, f"?{query}") == [other], query
    for query in ("type=echo", "queue=default", "priority=0", "state=available"):
        assert shown(api, tenant, f"?{query}") == [plain], query
    for query in ("state=completed", "tag=a:2", "tag=a:1&tag=b:z", "tag=a:1&tag=a:2", "type=sleep&priority=0"):
        assert shown(api, tenant, f"?{query}") == [], query


def test_times_bound_the_list(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    made = datetime.fromisoformat(job["created_at"])
    around = [quote((made + timedelta(seconds=offset)).astimezone(UTC).isoformat()) for offset in (-1, 1)]
    assert shown(api, tenant, f"?created_after={around[0]}&created_before={around[1]}") == [job["id"]]
    assert shown(api, tenant, f"?created_after={job['created_at']}") == [job["id"]]
    assert shown(api, tenant, f"?created_before={around[0]}") == []
    assert shown(api, tenant, f"?created_after={around[1]}") == []
    assert shown(api, tenant, "?created_after=0001-01-01T00:00:00Z&created_before=9999-12-31T00:00:00Z") == [job["id"]]


def test_a_cursor_belongs_to_its_tenant_and_filters(api: Any, tenant: Any, other_tenant: Any) -> None:
    for owner in (tenant, other_tenant):
        for _ in range(2):
            make_job(owner)
    cursor = api.get("/v1/jobs?limit=1", key=tenant.api_key).json()["next_cursor"]
    assert len(shown(api, tenant, f"?cursor={cursor}")) == 1
    altered = cursor[:-2] + ("B" if cursor[-2] == "A" else "A") + cursor[-1]
    for key, query in (
        (other_tenant.api_key, f"cursor={cursor}"),
        (tenant.api_key, f"cursor={cursor}&queue=default"),
        (tenant.api_key, f"cursor={altered}"),
        (tenant.api_key, "cursor=x"),
        (tenant.api_key, "cursor="),
    ):
        assert faults(api.get(f"/v1/jobs?{query}", key=key)) == {("/cursor", "bad-cursor")}, query
    job = make_job(tenant)["id"]
    assert faults(api.get(f"/v1/jobs/{job}/events?cursor={cursor}", key=tenant.api_key)) == {("/cursor", "bad-cursor")}
