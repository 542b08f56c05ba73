"""A page of deliveries costs the page and not the history, though the planner knows nothing yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from jobservice.statements import read_statement
from jobservice.webhooks.models import Delivery
from tenants.context import tenant_tx
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.jobs.test_reads_without_statistics import forget_statistics, nodes, visited
from tests.roles import as_role
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db
HISTORY = 120


def rows_looked_at(statement: str, parameters: dict[str, Any], tenant: Tenant) -> int:
    path = Path(settings.BASE_DIR) / "jobservice/webhooks/sql" / statement
    sql = "EXPLAIN (ANALYZE, FORMAT JSON) " + read_statement(path)
    with as_role("web"), tenant_tx(tenant.id), psycopg.Cursor(connection.connection) as cursor:
        (row,) = cursor.execute(sql, parameters).fetchall()
    return int(sum(map(visited, nodes(row[0][0]["Plan"]))))


@pytest.mark.parametrize(("state", "window", "most"), [(None, 6, 30), ("failed", 20, 100)])
def test_a_page_looks_at_its_window_alone(tenant: Tenant, state: str | None, window: int, most: int) -> None:
    endpoint = make_endpoint(tenant)
    for _ in range(HISTORY):
        make_job(tenant)
    record(*map(outcome_of, start(claim(HISTORY))))
    forget_statistics()
    assert Delivery.objects.count() == HISTORY
    parameters = {
        "tenant": tenant.id,
        "endpoint": endpoint.id,
        "before": Delivery.objects.order_by("-id")[10].id,
        "after": UUID(int=0),
        "window": window,
        "state": state,
        "type": None,
        "limit": 6,
    }
    # Of each delivery of the window its own row, its event's and its live row.
    assert window <= rows_looked_at("list_deliveries.sql", parameters, tenant) <= most
    deliveries = list(Delivery.objects.order_by("-id").values_list("id", flat=True)[:6])
    tries = {"tenant": tenant.id, "deliveries": deliveries, "limit": 20}
    assert rows_looked_at("read_delivery_attempts.sql", tries, tenant) <= 6


def test_a_summary_of_tries_looks_at_the_latest_deliveries_alone(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    for _ in range(HISTORY):
        make_job(tenant)
    record(*map(outcome_of, start(claim(HISTORY))))
    forget_statistics()
    parameters = {"tenant": tenant.id, "endpoints": [endpoint.id], "since": "2020-01-01T00:00:00Z"}
    # Of each delivery its own row; there was no try. And the one that names the endpoint.
    assert rows_looked_at("sum_up_tries.sql", {**parameters, "window": 20, "limit": 5}, tenant) <= 21
