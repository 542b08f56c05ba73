"""What is in a queue: exact while it is little, near enough when it is much, and never a look at every job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from jobservice.jobs import queue_counts
from jobservice.jobs.models import LiveJob, Queue
from jobservice.jobs.queue_counts import QueueCounts, count_queues
from jobservice.statements import read_statement
from tenants.context import tenant_tx
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim
from tests.jobs.test_reads_without_statistics import forget_statistics
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def count(tenant: Tenant, *names: str) -> dict[str, QueueCounts]:
    with as_role("web"), tenant_tx(tenant.id):
        return count_queues(tenant.id, names)


def test_a_queue_of_nothing_has_nothing_of_everything(tenant: Tenant) -> None:
    assert count(tenant, "mail") == {"mail": QueueCounts()}
    assert count(tenant) == {}


def test_up_to_the_limit_counts_are_exact_and_beyond_it_they_say_that_they_are_not(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_counts, "EXACT_LIMIT", 5)
    # However many pages it has kept of rows that earlier tests rolled back, the table counts as a small one.
    monkeypatch.setattr(queue_counts, "SAMPLED_PAGES", 10**9)
    for _ in range(5):
        make_job(tenant, queue="mail")
        make_job(tenant, queue="mail", delay_seconds=60)
    found = count(tenant, "mail")["mail"]
    assert (found.jobs["available"], found.jobs["scheduled"], found.is_estimated) == (5, 5, False)
    for _ in range(3):
        make_job(tenant, queue="mail")
    # Then all of it is the sample.
    found = count(tenant, "mail")["mail"]
    assert (found.jobs["available"], found.jobs["scheduled"], found.is_estimated) == (8, 5, True)


def test_an_estimate_is_never_less_than_what_was_counted(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_counts, "EXACT_LIMIT", 3)
    monkeypatch.setattr(queue_counts, "SAMPLED_PAGES", 0.0001)
    for _ in range(8):
        make_job(tenant, queue="mail")
    found = count(tenant, "mail")["mail"]
    assert found.is_estimated
    assert found.jobs["available"] >= 4


def test_claimed_jobs_are_counted_to_the_end_whatever_the_limit(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_counts, "EXACT_LIMIT", 2)
    for owner in (tenant, other_tenant):
        for _ in range(6):
            make_job(owner, queue="mail")
    claim(12)
    found = count(tenant, "mail")["mail"]
    assert (found.jobs["dispatched"], found.running, found.is_estimated) == (6, 6, False)


def test_of_many_queues_less_is_counted_one_by_one(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_counts, "PAGE_LIMIT", 9)
    for name in ("a", "b", "c"):
        for _ in range(4):
            make_job(tenant, queue=name)
    assert count(tenant, "a")["a"].is_estimated is False
    assert {one.is_estimated for one in count(tenant, "a", "b", "c").values()} == {True}


def test_a_count_looks_at_no_more_jobs_than_its_limit_and_without_statistics(tenant: Tenant) -> None:
    # Files of its own until the rollback: a plan goes by their sizes, and other tests' rows stay in them.
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE job_live, lane")
    for _ in range(60):
        make_job(tenant, queue="other")
        make_job(tenant, queue="mail")
        make_job(tenant, queue="mail", delay_seconds=60)
    forget_statistics()
    sql = "EXPLAIN (ANALYZE, FORMAT JSON) " + read_statement(
        Path(settings.BASE_DIR) / "jobservice" / "jobs" / "sql" / "count_queues.sql"
    )
    parameters = {"tenant": tenant.id, "queues": ["mail"], "limit": 10}
    with as_role("web"), tenant_tx(tenant.id), psycopg.Cursor(connection.connection) as told:
        (row,) = told.execute(sql, parameters).fetchall()
    looks = [node for node in nodes(row[0][0]["Plan"]) if node.get("Relation Name") == "job_live"]
    # Rows are told as the mean of a node's loops: in hundredths, before PostgreSQL 18 in whole ones.
    step = 0.01 if connection.pg_version >= 180000 else 1.0  # type: ignore[attr-defined]
    blur = sum(node["Actual Loops"] for node in looks) * step / 2
    assert sum(map(visited, looks)) == pytest.approx(2 * 11, abs=blur)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def visited(node: dict[str, Any]) -> float:
    return float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": -1},
        {"concurrency": 100_001},
        {"key_concurrency": 0},
        {"key_concurrency": 100_001},
        {"retention_days": 0},
        {"retention_days": 3651},
        {"rate": {}},
        {"rate": {"limit": 1, "period_seconds": 1}},
        {"rate": {"limit": 0, "period_seconds": 1, "burst": 1}},
        {"rate": {"limit": 1, "period_seconds": 86_401, "burst": 1}},
    ],
)
def test_the_database_refuses_settings_that_no_verb_writes(tenant: Tenant, wrong: dict[str, Any]) -> None:
    make_job(tenant, queue="mail")
    with pytest.raises(IntegrityError), transaction.atomic():
        Queue.objects.filter(tenant_id=tenant.id).update(**wrong)
    assert LiveJob.objects.filter(tenant_id=tenant.id).count() == 1
