"""What waits, as the metrics show it: exact while there is little, near enough when there is much."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobservice.jobs import backlog
from jobservice.jobs.backlog import Backlog, combine_counts, read_backlog
from jobservice.jobs.models import Lane, LiveJob
from jobservice.webhooks.backlog import read_delivery_backlog
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.roles import as_role


@pytest.fixture(autouse=True)
def _small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages it has kept of rows that earlier tests rolled back, the table counts as a small one."""
    monkeypatch.setattr(backlog, "SAMPLED_PAGES", 10**9)


def read() -> Backlog:
    with as_role("dispatcher"):
        return read_backlog()


@pytest.mark.django_db
def test_unfinished_jobs_are_counted_by_pool_and_state(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant, tenant, tenant):
        make_job(owner)
    make_job(tenant, delay_seconds=60)
    make_job(tenant, type="http.request", payload={"url": "http://127.0.0.1:9/"})
    start(claim(1))
    claim(1)
    assert read().jobs == {
        ("handlers", "available"): 2,
        ("handlers", "scheduled"): 1,
        ("handlers", "dispatched"): 1,
        ("handlers", "executing"): 1,
        ("egress", "available"): 1,
    }
    assert read().sampled_ratio == 1


@pytest.mark.django_db
def test_no_jobs_are_no_counts(db: None) -> None:
    assert read() == Backlog({}, {}, 1.0)


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["available", "scheduled"])
def test_the_oldest_due_job_of_each_pool_is_told(tenant: Tenant, state: str) -> None:
    make_job(tenant)
    make_job(tenant, queue="another", delay_seconds=0 if state == "available" else 1)
    LiveJob.objects.filter(state=state).update(due_at=Now() - timedelta(seconds=90))
    assert read().oldest_due_seconds["handlers"] == pytest.approx(90, abs=30)


@pytest.mark.django_db
def test_a_queue_that_waits_on_purpose_is_not_late(tenant: Tenant) -> None:
    make_job(tenant)
    LiveJob.objects.update(due_at=Now() - timedelta(seconds=90))
    Lane.objects.update(blocked_by="queue-paused")
    assert "handlers" not in read().oldest_due_seconds


@pytest.mark.django_db
def test_what_the_indexes_count_to_the_end_is_exact_though_the_table_is_sampled(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(40):
        make_job(tenant)
    claim(7)
    monkeypatch.setattr(backlog, "SAMPLED_PAGES", 0.001)
    found = read()
    assert found.sampled_ratio < 1
    assert found.jobs == {("handlers", "available"): 33, ("handlers", "dispatched"): 7}


def test_beyond_the_limit_the_sample_speaks_but_never_below_what_was_counted() -> None:
    sample = {("handlers", "available"): 500, ("egress", "available"): 3, ("handlers", "suspended"): 2}
    known = {("handlers", "available"): 1200, ("egress", "available"): 800, ("egress", "executing"): 5}
    assert combine_counts(sample, known, ratio=0.01) == {
        ("handlers", "available"): 50_000,
        ("egress", "available"): 800,
        ("egress", "executing"): 5,
        ("handlers", "suspended"): 200,
    }


def test_a_state_below_the_limit_is_what_was_counted_whatever_the_sample_says() -> None:
    sample = {("handlers", "retryable"): 90, ("handlers", "executing"): 4}
    known = {("handlers", "retryable"): 12}
    assert combine_counts(sample, known, ratio=0.01) == {("handlers", "retryable"): 12}


@pytest.mark.django_db
def test_unfinished_deliveries_are_counted_with_the_age_of_the_oldest(tenant: Tenant) -> None:
    for _ in range(2):
        make_job(tenant, callback_url="http://127.0.0.1:9/done")
    record(*map(outcome_of, start(claim())))
    with as_role("dispatcher"):
        found = read_delivery_backlog()
    assert found.deliveries == {"pending": 2, "waiting": 0, "held": 0}
    assert 0 <= found.oldest_due_seconds < 60
