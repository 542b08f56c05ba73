"""What people see of queues beside the API: near the truth, at a bounded cost, and of one's own tenant only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from jobservice.jobs import queue_board
from jobservice.jobs.models import LiveJob
from jobservice.jobs.queue_board import BusyKey, list_busy_keys, read_ends, read_used_rates
from jobservice.jobs.queues import change_queue
from jobservice.jobs.selectors import list_latest_of_type
from jobservice.statements import read_statement
from tenants.context import tenant_tx
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, start
from tests.jobs.test_queue_counts import nodes, visited
from tests.jobs.test_reads_without_statistics import forget_statistics
from tests.jobs.test_selectors import end
from tests.roles import as_role

pytestmark = pytest.mark.django_db


MANY_MORE = """
INSERT INTO job_live SELECT more.* FROM job_live AS one, generate_series(1, 40) AS n, jsonb_populate_record(
  NULL::job_live, to_jsonb(one) || jsonb_build_object('job_id', md5(one.job_id::text || n)::uuid)) AS more
"""


def looked_at(statement: str, tenant: Tenant, table: str, **parameters: Any) -> float:
    """How many rows of a table the web role's statement visits."""
    sql = read_statement(Path(settings.BASE_DIR) / "jobservice" / "jobs" / "sql" / statement)
    with as_role("web"), tenant_tx(tenant.id), psycopg.Cursor(connection.connection) as cursor:
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
        (row,) = cursor.execute(explained, {"tenant": tenant.id, **parameters}).fetchall()
    found = [node for node in nodes(row[0][0]["Plan"]) if str(node.get("Relation Name", "")).startswith(table)]
    return sum(map(visited, found))


def keys_of(tenant: Tenant, queue: str = "mail") -> list[BusyKey]:
    with as_role("web"):
        return list_busy_keys(tenant.id, queue)


def test_keys_are_ranked_by_those_that_wait_and_counted_so_far(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_board, "JOBS_COUNTED", 2)
    for key, count in (("a", 2), ("b", 5), ("c", 3), ("d", 1)):
        for _ in range(count):
            make_job(tenant, queue="mail", concurrency_key=key)
    make_job(other_tenant, queue="mail", concurrency_key="a")
    start(claim())
    found = keys_of(tenant)
    assert [(key.running, key.waiting) for key in found] == [(1, 2), (1, 2), (1, 1), (1, 0)]
    assert sorted(key.is_more for key in found[:2]) == [False, True]
    assert len({key.mark for key in found}) == 4
    assert len(keys_of(other_tenant)) == 1
    assert keys_of(tenant, "nothing") == []


def test_a_key_that_holds_jobs_back_is_told_when_none_of_it_runs(tenant: Tenant) -> None:
    jobs = [make_job(tenant, queue="mail", concurrency_key="a") for _ in range(3)]
    start(claim())
    assert LiveJob.objects.filter(is_parked=True).count() == 2
    end(jobs[0])
    assert [(key.running, key.waiting) for key in keys_of(tenant)] == [(0, 2)]


def test_keys_and_jobs_beyond_the_bounds_are_not_looked_at(tenant: Tenant) -> None:
    for number in range(120):
        make_job(tenant, queue="mail", concurrency_key=f"key-{number % 12}")
    claim(200)
    # Among few rows the planner may take any index; among many, known ones, a wrong one would be slow.
    with connection.cursor() as cursor:
        cursor.execute(MANY_MORE)
        cursor.execute("ANALYZE job_live")
    bounds = {"slots": 5, "keys": 3, "counted": 2, "limit": 20}
    # Slots, a step for each key, and of each of at most six keys three jobs.
    most = 5 + 3 + 6 * 3
    assert 0 < looked_at("list_concurrency_keys.sql", tenant, "job_live", queue="mail", **bounds) <= most + 1


def test_a_rate_tells_what_is_used_up(tenant: Tenant) -> None:
    change_queue(tenant.id, "mail", {"rate": {"limit": 1, "period_seconds": 3600, "burst": 3}}, may_make=True)
    change_queue(tenant.id, "free", {}, may_make=True)
    for expected in (0, 1, 2, 3, 3):
        with as_role("web"):
            assert read_used_rates(tenant.id, ["mail", "free", "nothing"]) == {"mail": expected}
        make_job(tenant, queue="mail")
        claim()


def test_without_statistics_nothing_ended(tenant: Tenant) -> None:
    with as_role("web"):
        assert read_ends(tenant.id, ["mail"]) == {"mail": [0] * queue_board.SPARK_STEPS}


def test_the_latest_of_a_type_are_found_without_a_look_at_other_jobs(tenant: Tenant) -> None:
    rare = make_job(tenant, type="sleep", payload={"seconds": 1})
    end(rare)
    for _ in range(50):
        end(make_job(tenant))
    waiting = job_uuid(make_job(tenant))
    parameters = {"type": "sleep", "other_than": waiting, "limit": 10}
    with connection.cursor() as cursor:
        # Of a small table the planner reads all; whether the index serves is asked here.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    forget_statistics()
    assert looked_at("list_latest_of_type.sql", tenant, "job", **parameters) == 1
    with as_role("web"):
        found = list_latest_of_type(tenant.id, "sleep", other_than=waiting, limit=10)
    assert [job["id"] for job in found] == [rare["id"]]
