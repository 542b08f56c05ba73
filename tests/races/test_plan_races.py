"""Changes of plans while their tenants submit, are moved and are limited: plan and own values hold, whatever races."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from jobservice.errors import Conflict, NotFound, QuotaExceeded
from jobservice.ids import TENANT, show_id
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.models import LiveJob
from tenants.api_keys import authenticate
from tenants.models import Plan
from tenants.models import Tenant as TenantRow
from tenants.plans import delete_plan, move_to_plan, set_plan, set_quotas
from tenants.quotas import QuotaChange, volume_limits
from tests.factories import Tenant, make_job, make_submission, make_tenant
from tests.races.acting import acting
from tests.tenants.commands import run

Race = Callable[..., list[Any]]
THREADS, OLD, NEW = 50, 20, 30


def submit(tenant: Tenant) -> int | None:
    """As a request does, with the limits of this moment; None, or the limit that refuses it."""
    credential = authenticate(tenant.api_key)
    assert credential is not None
    try:
        accept_job(tenant.id, make_submission(), limits=volume_limits(credential.quotas))
    except QuotaExceeded as refusal:
        return refusal.limit
    return None


def expected(tenant: TenantRow) -> dict[str, Any]:
    plan = {} if tenant.plan is None else Plan.objects.get(name=tenant.plan).quotas
    return {**plan, **tenant.own_quotas}


def test_of_fifty_accepts_while_a_plan_is_raised_exactly_the_new_limit_gets_in(
    racing_tenant: Tenant, race: Race
) -> None:
    set_plan("pro", QuotaChange({"open_jobs": OLD}))
    move_to_plan(racing_tenant.id, "pro")
    for _ in range(OLD):
        assert submit(racing_tenant) is None
    refused_once = threading.Event()

    def submit_until_raised() -> int | None:
        while (limit := submit(racing_tenant)) == OLD:
            refused_once.set()
        return limit

    def raise_plan() -> str:
        assert refused_once.wait(30)
        set_plan("pro", QuotaChange({"open_jobs": NEW}))
        return "raised"

    answers = race("owner", *[acting("web", submit_until_raised)] * THREADS, raise_plan)
    assert Counter(answers) == {None: NEW - OLD, NEW: THREADS - (NEW - OLD), "raised": 1}
    assert LiveJob.objects.filter(tenant_id=racing_tenant.id).count() == NEW


def test_of_fifty_accepts_while_a_plan_is_lowered_none_that_began_after_it_gets_in(
    racing_tenant: Tenant, race: Race
) -> None:
    set_plan("pro", QuotaChange({"open_jobs": None}))
    move_to_plan(racing_tenant.id, "pro")
    for _ in range(NEW):
        assert submit(racing_tenant) is None
    is_lowered = threading.Event()

    def submit_until_lowered() -> list[int | None]:
        """The answers to those that began after the change was committed."""
        after: list[int | None] = []
        while len(after) < 3:
            is_after = is_lowered.is_set()
            answer = submit(racing_tenant)
            if is_after:
                after.append(answer)
        return after

    def lower_plan() -> None:
        set_plan("pro", QuotaChange({"open_jobs": NEW}))
        is_lowered.set()

    *answers, _ = race("owner", *[acting("web", submit_until_lowered)] * THREADS, lower_plan)
    assert answers == [[NEW] * 3] * THREADS


def test_whatever_is_changed_at_once_plan_and_own_values_hold_and_nobody_waits_in_a_circle(
    racing_tenant: Tenant, race: Race
) -> None:
    tenants = [racing_tenant, *(make_tenant() for _ in range(4))]
    names = ("basic", "pro")

    def change_plans() -> None:
        for _ in range(30):
            set_plan(random.choice(names), QuotaChange({"running": random.randrange(99)}, frozenset({"queues"})))

    def move() -> None:
        for _ in range(30):
            plan = random.choice([None, *names])
            try:
                move_to_plan(random.choice(tenants).id, plan, QuotaChange({"queues": random.randrange(9)}))
            except NotFound:
                continue

    def limit() -> None:
        for _ in range(30):
            removed = frozenset(random.sample(["running", "queues"], 1))
            set_quotas(random.choice(tenants).id, QuotaChange({"open_jobs": random.randrange(9)}, removed))

    def delete() -> None:
        for _ in range(30):
            try:
                delete_plan(random.choice(names))
            except (Conflict, NotFound):
                continue

    race("owner", *[change_plans, move, limit] * 3, delete)
    rows = TenantRow.objects.all()
    assert len(rows) == len(tenants)
    assert {row.id: row.quotas for row in rows} == {row.id: expected(row) for row in rows}


def test_no_change_of_a_tenant_is_lost_among_changes_of_others_and_of_its_plan(
    racing_tenant: Tenant, race: Race
) -> None:
    set_plan("pro", QuotaChange({"running": 1}))
    move_to_plan(racing_tenant.id, "pro")
    names, times = ("running", "queues", "job_types", "api_keys"), 25

    def limit(name: str) -> None:
        for value in range(times + 1):
            set_quotas(racing_tenant.id, QuotaChange({name: value}))

    def change_plan() -> None:
        for value in range(times):
            set_plan("pro", QuotaChange({"running": value}))

    race("owner", *[lambda name=name: limit(name) for name in names], *[change_plan] * 2)
    assert TenantRow.objects.get(id=racing_tenant.id).quotas == dict.fromkeys(names, times)


@pytest.mark.parametrize("lower", [("set_quota", "{id}", "running=1"), ("set_plan", "pro", "running=1")])
def test_when_a_quota_is_lowered_no_claim_is_under_way_that_counts_by_the_old_one(
    racing_tenant: Tenant, race: Race, lower: tuple[str, ...]
) -> None:
    set_plan("pro", QuotaChange({"running": 2}))
    move_to_plan(racing_tenant.id, "pro")
    make_job(racing_tenant)
    has_claimed, is_lowered = threading.Event(), threading.Event()

    def claim_slowly() -> None:
        with transaction.atomic():
            assert len(claim_jobs("handlers", limit=1, lease_seconds=60)) == 1
            has_claimed.set()
            assert not is_lowered.wait(1)

    def lower_quota() -> None:
        assert has_claimed.wait(30)
        run(*[word.format(id=show_id(TENANT, racing_tenant.id)) for word in lower])
        is_lowered.set()

    race("owner", acting("dispatcher", claim_slowly), lower_quota)
    assert is_lowered.is_set()
