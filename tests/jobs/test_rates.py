"""How many jobs of a queue may start in a time: its bucket, and what becomes of that when the rate is changed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.limits import open_rated_lanes
from jobservice.jobs.models import Lane
from jobservice.jobs.queues import change_queue
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim
from tests.jobs.limiting import HTTP, limit_queue
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def rate(limit: int, period_seconds: int = 3600, burst: int | None = None) -> dict[str, Any]:
    return {"limit": limit, "period_seconds": period_seconds, "burst": burst or limit}


def test_a_rate_lets_its_burst_go_and_then_one_per_interval(tenant: Tenant) -> None:
    for _ in range(10):
        make_job(tenant)
    limit_queue(tenant, rate=rate(60, burst=3))
    assert len(claim()) == 3
    assert claim() == []
    lane = Lane.objects.get(tenant_id=tenant.id)
    assert lane.blocked_by == "queue-rate"
    assert lane.blocked_until is not None
    # Tokens come one a minute: the next in about one.
    Lane.objects.update(blocked_until=lane.blocked_until - timedelta(seconds=61))
    shift_bucket(seconds=61)
    with as_role("dispatcher"):
        assert open_rated_lanes() == 1
    assert len(claim()) == 1
    shift_bucket(seconds=3600)
    Lane.objects.update(blocked_until=Now() - timedelta(seconds=1))
    with as_role("dispatcher"):
        open_rated_lanes()
    # The bucket holds no more than its burst, however long it filled.
    assert len(claim()) == 3


def shift_bucket(*, seconds: float) -> None:
    """As if so much time had gone by for the buckets."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE queue_rate SET full_at = full_at - make_interval(secs => %s)", [seconds])


def test_a_rate_counts_the_jobs_of_both_pools_and_holds_nobody_else_back(tenant: Tenant, other_tenant: Tenant) -> None:
    for _ in range(4):
        make_job(tenant)
        make_job(tenant, **HTTP)
        make_job(other_tenant)
    limit_queue(tenant, rate=rate(3))
    taken = Counter(ref.tenant_id for ref in claim(2) + claim(pool="egress") + claim() + claim(pool="egress"))
    assert taken == {tenant.id: 3, other_tenant.id: 4}


def test_a_rate_that_is_taken_away_holds_no_longer(tenant: Tenant) -> None:
    for _ in range(3):
        make_job(tenant)
    limit_queue(tenant, rate=rate(1))
    assert len(claim()) == 1
    limit_queue(tenant, rate=None)
    assert len(claim()) == 2


def change_the_rate(tenant: Tenant, new: dict[str, Any] | None) -> None:
    with as_role("web"):
        change_queue(tenant.id, "default", {"rate": new})


def test_a_rate_that_is_raised_holds_nothing_back_in_the_terms_of_the_old_one(tenant: Tenant) -> None:
    for _ in range(10):
        make_job(tenant)
    change_the_rate(tenant, rate(1, 86_400))
    assert len(claim()) == 1
    change_the_rate(tenant, rate(2, 86_400))
    # One of two is used up.
    assert len(claim()) == 1
    assert claim() == []
    change_the_rate(tenant, rate(1_000_000, 1))
    assert len(claim()) == 8


def test_a_rate_that_is_lowered_gives_no_starts_beside_those_that_were_used(tenant: Tenant) -> None:
    for _ in range(10):
        make_job(tenant)
    change_the_rate(tenant, rate(5, 60))
    assert len(claim()) == 5
    change_the_rate(tenant, rate(4, 86_400, burst=2))
    assert claim() == []
    # The bucket of two is empty, so the next is due in a quarter of a day.
    shift_bucket(seconds=21_500)
    assert reopen_by_time() == []
    shift_bucket(seconds=200)
    assert len(reopen_by_time()) == 1


def reopen_by_time() -> list[Ref]:
    Lane.objects.filter(blocked_by="queue-rate").update(blocked_until=Now() - timedelta(seconds=1))
    with as_role("dispatcher"):
        open_rated_lanes()
    return claim()


def test_a_rate_that_is_given_anew_begins_with_its_burst(tenant: Tenant) -> None:
    for _ in range(3):
        make_job(tenant)
    change_the_rate(tenant, rate(1, 86_400))
    assert len(claim()) == 1
    change_the_rate(tenant, None)
    change_the_rate(tenant, rate(2, 86_400))
    assert len(claim()) == 2
