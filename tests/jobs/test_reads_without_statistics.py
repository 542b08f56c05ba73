"""What a worker reads to start a group costs the group and not the history, though the planner knows nothing yet.

So it is in a new installation and in each week's new partitions, until the server has looked at its tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from jobservice.jobs import job_search
from jobservice.jobs.bulk import accept_bulk, parse_bulk
from jobservice.jobs.job_search import JobFilters, expect_many_jobs
from jobservice.jobs.submission import SubmissionLimits
from jobservice.statements import read_statement
from jobservice.webhooks import delivery_search
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.endpoint_spec import parse_endpoint
from jobservice.webhooks.endpoints import create_endpoint
from jobservice.webhooks.replay_filters import ReplayFilters
from tenants.context import tenant_tx, tenants_tx
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, outcome_of, record, start
from tests.roles import as_role

HISTORY = 120
CALLBACK = "https://example.com/told"


def rows_looked_at(statement: str, parameters: dict[str, Any], tenant: Tenant) -> int:
    """How many rows of tables the statement visits, those thrown away again included."""
    sql = "EXPLAIN (ANALYZE, FORMAT JSON) " + read_statement(Path(settings.BASE_DIR) / "jobservice" / statement)
    with as_role("worker"), tenants_tx([tenant.id]), psycopg.Cursor(connection.connection) as cursor:
        (row,) = cursor.execute(sql, parameters).fetchall()
    return int(sum(map(visited, nodes(row[0][0]["Plan"]))))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def visited(node: dict[str, Any]) -> float:
    if "Relation Name" not in node:
        return 0
    return float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))


@pytest.fixture
def history(tenant: Tenant) -> Tenant:
    """A tenant with many jobs, half of them over and to be told, and no statistics about any of it."""
    for _ in range(HISTORY):
        make_job(tenant, callback_url=CALLBACK)
    record(*map(outcome_of, start(claim(HISTORY // 2))))
    forget_statistics()
    return tenant


def forget_statistics() -> None:
    """The server may have looked at tables that earlier tests had filled or emptied."""
    ours = "relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE {ours})")
        cursor.execute(f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE {ours}")


def test_starting_one_job_reads_one_job(history: Tenant) -> None:
    (job,) = start(claim(1))
    parameters = {"tenants": [history.id], "jobs": [job.job_id]}
    # The live row, the job and its payload.
    assert rows_looked_at("jobs/sql/read_started_jobs.sql", parameters, history) == 3


def test_starting_one_delivery_reads_one_delivery(history: Tenant) -> None:
    with as_role("dispatcher"):
        refs = claim_deliveries(1, lease_seconds=30)
    with as_role("worker"):
        (delivery,) = start_deliveries(refs, worker_id=WORKER, lease_seconds=30)
    parameters = {"tenants": [history.id], "deliveries": [delivery.delivery_id], "result_limit": 1000}
    # The live row, the delivery, its event (once more among those of the job), the job, the address and the result.
    assert rows_looked_at("webhooks/sql/read_started_deliveries.sql", parameters, history) == 7


def test_a_bulk_action_over_a_tag_looks_at_each_job_a_few_times(tenant: Tenant) -> None:
    jobs = [{"type": "echo", "tags": {"customer": "7"}}] * 1000
    accept_bulk(tenant.id, parse_bulk({"mode": "atomic", "jobs": jobs}), limits=SubmissionLimits())
    matching, parameters = job_search._matching(tenant.id, JobFilters(tags=(("customer", "7"),)))
    with as_role("web"), tenant_tx(tenant.id), connection.cursor() as cursor:
        expect_many_jobs()
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT j.id {matching} ORDER BY j.id LIMIT 1000", parameters)
        ((plan,),) = cursor.fetchall()
    seen = nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    assert sum(node["Actual Loops"] * node["Actual Rows"] + removed(node) for node in seen) < 20_000


@pytest.mark.parametrize("states", [("failed",), ("failed", "pending"), ("delivered", "failed", "pending")])
def test_a_replay_looks_at_each_delivery_of_its_endpoint_a_few_times(tenant: Tenant, states: tuple[str, ...]) -> None:
    asked, other = (create_endpoint(tenant.id, parse_endpoint({"url": CALLBACK})).id for _ in range(2))
    make_job(tenant)
    record(*map(outcome_of, start(claim(1))))
    with connection.cursor() as cursor:
        for endpoint in (asked, other):
            cursor.execute(
                "INSERT INTO delivery (id, tenant_id, event_id, endpoint_id, final_state, finished_at) "
                "SELECT new_id(), tenant_id, event_id, endpoint_id, 'failed', now() "
                "FROM (SELECT * FROM delivery WHERE endpoint_id = %s LIMIT 1) AS d, generate_series(1, 1000)",
                [endpoint],
            )
    forget_statistics()
    since = timezone.now() - timedelta(days=1)
    matching, parameters = delivery_search._matching(tenant.id, asked, ReplayFilters(since, states=states))
    with as_role("web"), tenant_tx(tenant.id), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT d.id {matching} ORDER BY d.id LIMIT 1000", parameters)
        ((plan,),) = cursor.fetchall()
    seen = list(nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
    # The delivery and its event; the live row of one that is not over.
    assert sum(map(visited, seen)) < 2_100
    assert sum(map(removed, seen)) < 2_100


def removed(node: dict[str, Any]) -> float:
    return float(node["Actual Loops"] * node.get("Rows Removed by Join Filter", 0))
