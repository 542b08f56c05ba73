"""A tenant that uses 80 % of a quota is told so, once, until it uses clearly less again."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.jobs import quota_warnings
from jobservice.jobs.quota_warnings import QuotaWatch
from jobservice.webhooks.models import Event
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs import dispatching
from tests.jobs.limiting import limit_tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def look() -> int:
    with as_role("dispatcher"):
        return QuotaWatch().look()


def warnings(tenant: Tenant) -> list[Any]:
    rows = Event.objects.filter(tenant_id=tenant.id, type="quota.warning").order_by("id")
    return [(row.details or {})["quota"] for row in rows]


def test_the_warning_comes_at_80_percent_and_once(tenant: Tenant) -> None:
    limit_tenant(tenant, quotas={"open_jobs": 5, "jobs_per_day": None})
    for _ in range(3):
        make_job(tenant)
    assert (look(), warnings(tenant)) == (0, [])
    make_job(tenant)
    assert (look(), warnings(tenant)) == (1, [{"name": "open_jobs", "limit": 5, "used": 4}])
    make_job(tenant)
    assert look() == 0


def test_it_comes_anew_after_clearly_less_was_used(tenant: Tenant) -> None:
    limit_tenant(tenant, quotas={"open_jobs": 5})
    for _ in range(4):
        make_job(tenant)
    assert look() == 1
    dispatching.record(*[dispatching.outcome_of(job) for job in dispatching.start(dispatching.claim(1))])
    assert look() == 0, "three of five are less than 70 %"
    make_job(tenant)
    assert look() == 1


def test_what_has_no_limit_and_what_allows_nothing_is_not_warned_of(tenant: Tenant) -> None:
    make_job(tenant)
    limit_tenant(tenant, quotas={"open_jobs": None, "jobs_per_day": 0, "stored_bytes": None, "queues": None})
    assert look() == 0


def test_every_kind_of_quota_is_warned_of(tenant: Tenant) -> None:
    make_job(tenant)
    limit_tenant(tenant, quotas={"open_jobs": 1, "jobs_per_day": 1, "stored_bytes": 10, "queues": 1})
    assert look() == 4
    assert {quota["name"] for quota in warnings(tenant)} == {"open_jobs", "jobs_per_day", "stored_bytes", "queues"}


def test_all_tenants_have_their_turn_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota_warnings, "TENANTS_PER_ROUND", 2)
    tenants = [make_tenant() for _ in range(5)]
    for tenant in tenants:
        limit_tenant(tenant, quotas={"open_jobs": 1})
        make_job(tenant)
    watch = QuotaWatch()
    with as_role("dispatcher"):
        assert sum(watch.look() for _ in range(4)) == 5
        assert watch.look() == 0


def test_the_defaults_of_the_service_are_limits_too(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota_warnings, "DEFAULTS", {"open_jobs": 1})
    make_job(tenant)
    assert (look(), warnings(tenant)) == (1, [{"name": "open_jobs", "limit": 1, "used": 1}])
