"""Dispatch: the fair claim, staging, and the rescue of jobs whose lease ended."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from jobservice.jobs import lanes
from jobservice.jobs.claim_sizes import LEAST_SHARES
from jobservice.jobs.claims import claim_jobs, return_claims, stage_due_jobs
from jobservice.jobs.lanes import deactivate_idle_lanes
from jobservice.jobs.models import Attempt, Lane, LiveJob
from jobservice.jobs.rescue import reap_leases
from jobservice.statements import run_statement
from tenants.models import Tenant as TenantRow
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import claim, count_looks, end_lease, job_uuid, live, start
from tests.jobs.limiting import limit_queue
from tests.roles import as_role

pytestmark = pytest.mark.django_db

SQL = Path(lanes.__file__).resolve().parent / "sql"


def test_a_claim_raises_the_epoch_and_takes_a_lease(tenant: Tenant) -> None:
    job = make_job(tenant)
    (ref,) = claim()
    row = live(job)
    assert (ref.tenant_id, ref.id, ref.epoch) == (tenant.id, job_uuid(job), 1)
    assert (row.state, row.epoch, row.attempt) == ("dispatched", 1, 0)
    assert row.lease_until is not None


def test_a_claimed_job_is_not_claimed_again(tenant: Tenant) -> None:
    make_job(tenant)
    assert len(claim()) == 1
    assert claim() == []


def test_a_claim_takes_no_more_than_its_limit_and_none_without_credit(tenant: Tenant) -> None:
    for _ in range(5):
        make_job(tenant)
    assert len(claim(3)) == 3
    assert claim(0) == []
    assert len(claim(10)) == 2


def test_a_flood_of_one_tenant_does_not_hold_back_another(tenant: Tenant, other_tenant: Tenant) -> None:
    for _ in range(40):
        make_job(tenant)
    for _ in range(4):
        make_job(other_tenant)
    taken = Counter(ref.tenant_id for ref in claim(8))
    assert taken == {tenant.id: 4, other_tenant.id: 4}


def test_shares_follow_the_weights_of_the_tenants(other_tenant: Tenant) -> None:
    heavy = make_tenant()
    TenantRow.objects.filter(id=heavy.id).update(weight=3)
    for _ in range(40):
        make_job(heavy)
        make_job(other_tenant)
    taken = Counter(ref.tenant_id for _ in range(4) for ref in claim(8))
    assert taken == {heavy.id: 24, other_tenant.id: 8}


def test_an_idle_lane_saves_up_no_turns(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(other_tenant)
    claim()
    for _ in range(60):
        make_job(tenant)
    claim(30)
    # The other tenant was idle for 30 turns; from now on it gets its half. Two jobs is the bound of the algorithm
    # (Goyal et al., theorem 1: one job of each lane); saved-up turns would give it all twenty.
    Lane.objects.filter(tenant_id=other_tenant.id).update(is_active=False)
    for _ in range(30):
        make_job(other_tenant)
    taken = Counter(ref.tenant_id for ref in claim(20))
    assert abs(taken[tenant.id] - taken[other_tenant.id]) <= 2


def test_who_had_no_more_than_was_taken_saves_up_no_turns(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(other_tenant)
    assert len(claim(1)) == 1
    for _ in range(60):
        make_job(tenant)
    claim(30)
    for _ in range(30):
        make_job(other_tenant)
    taken = Counter(ref.tenant_id for ref in claim(20))
    assert abs(taken[tenant.id] - taken[other_tenant.id]) <= 2


def test_a_tenants_queues_take_turns(tenant: Tenant) -> None:
    queues = {}
    for queue in ("one", "other"):
        for _ in range(4):
            queues[job_uuid(make_job(tenant, queue=queue))] = queue
    assert Counter(queues[ref.id] for _ in range(6) for ref in claim(1)) == {"one": 3, "other": 3}


def test_a_queue_below_zero_takes_nothing_from_its_tenants_other_ones(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More run than a limit that was lowered since."""
    for _ in range(10):
        make_job(tenant, queue="lowered")
    assert len(claim(9)) == 9
    limit_queue(tenant, "lowered", concurrency=1)
    Lane.objects.filter(tenant_id=tenant.id, queue="lowered").update(blocked_by=None, blocked_until=None)
    for _ in range(5):
        make_job(tenant, queue="other")
    limit_queue(tenant, "other", concurrency=5)
    looks = count_looks(monkeypatch)
    assert len(claim(5)) == 5
    assert len(looks) == 1


def test_a_queue_may_have_the_name_of_nothing(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant, queue="null")
    limit_queue(tenant, "null", rate={"limit": 1, "period_seconds": 60, "burst": 1})
    make_job(other_tenant)
    assert len(claim()) == 2
    make_job(tenant, queue="null")
    assert claim() == []


def test_an_idle_queue_of_a_tenant_saves_up_no_turns(tenant: Tenant) -> None:
    """Also while it was not put to sleep yet."""
    make_job(tenant, queue="idle")
    claim()
    for queue in ("one", "other"):
        for _ in range(40):
            make_job(tenant, queue=queue)
    claim(40)
    idle = {job_uuid(make_job(tenant, queue="idle")) for _ in range(30)}
    assert 8 <= sum(ref.id in idle for ref in claim(30)) <= 12


def test_who_begins_to_wait_is_next_however_many_tenants_wait() -> None:
    """More of them than a claim looks at, each with more than its turn; one round and a part of the next are over."""
    others = [make_tenant() for _ in range(4 * LEAST_SHARES)]
    for _ in range(9):
        for other in others:
            make_job(other)
    served = Counter(ref.tenant_id for _ in range(5) for ref in claim(12))
    assert sorted(served.values()) == [3] * (3 * LEAST_SHARES) + [6] * LEAST_SHARES
    late = make_tenant()
    first = make_job(late)
    assert job_uuid(first) in {ref.id for ref in claim(12)}
    # That was its one turn ahead: who asks for more is no better off than the others, who all come before it.
    for _ in range(12):
        make_job(late)
    again: set[Any] = set()
    while late.id not in again:
        again = {ref.tenant_id for ref in claim(12)}
    left = Counter(LiveJob.objects.filter(state="available").values_list("tenant_id", flat=True))
    assert max(left[other.id] for other in others) < 9 - 3


def test_a_claim_takes_the_single_jobs_of_many_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at a few tenants at a time, and at twice as many where each has little."""
    looks = count_looks(monkeypatch)
    for tenant in [make_tenant() for _ in range(70)]:
        make_job(tenant)
    assert len(claim(60)) == 60
    assert len(looks) == 4
    assert len(claim(60)) == 10


@pytest.mark.parametrize(("tenants", "turns"), [(5, [12] * 5), (6, [15] * 4)])
def test_of_few_tenants_all_have_their_turn_in_one_claim_and_of_more_some_have_a_longer_one(
    tenants: int, turns: list[int]
) -> None:
    """A claim of 60 looks at five, or at four of more."""
    for other in [make_tenant() for _ in range(tenants)]:
        for _ in range(16):
            make_job(other)
    assert list(Counter(ref.tenant_id for ref in claim(60)).values()) == turns


def test_priority_orders_inside_a_lane_and_age_breaks_it(tenant: Tenant) -> None:
    low, high = make_job(tenant, priority=9), make_job(tenant, priority=0)
    aged = make_job(tenant, priority=9)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE job_live SET rank = rank - interval '10 minutes' WHERE job_id = %s", [job_uuid(aged)])
    order = [ref.id for ref in (claim(1) + claim(1) + claim(1))]
    assert order == [job_uuid(aged), job_uuid(high), job_uuid(low)]


def test_a_suspended_tenant_starts_nothing_more(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant)
    make_job(other_tenant)
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    assert [ref.tenant_id for ref in claim()] == [other_tenant.id]


def test_a_job_of_another_pool_is_left_alone(tenant: Tenant) -> None:
    make_job(tenant)
    assert claim(pool="egress") == []


def test_a_delayed_job_waits_until_it_is_due(tenant: Tenant) -> None:
    job = make_job(tenant, delay_seconds=60)
    assert job["state"] == "scheduled"
    with as_role("dispatcher"):
        assert stage_due_jobs() == 0
    LiveJob.objects.update(due_at="2020-01-01T00:00:00Z")
    with as_role("dispatcher"):
        assert stage_due_jobs() == 1
    assert live(job).state == "available"
    assert len(claim()) == 1


def test_a_lane_sleeps_when_it_is_empty_and_the_next_job_wakes_it(tenant: Tenant) -> None:
    make_job(tenant)
    claim()
    Lane.objects.update(served_at="2020-01-01T00:00:00Z")
    with as_role("dispatcher"):
        assert deactivate_idle_lanes() == 1
    assert claim() == []
    make_job(tenant)
    assert Lane.objects.get(tenant_id=tenant.id).is_active
    assert len(claim()) == 1


def test_a_lane_with_work_is_not_put_to_sleep(tenant: Tenant) -> None:
    make_job(tenant)
    Lane.objects.update(served_at="2020-01-01T00:00:00Z")
    with as_role("dispatcher"):
        assert deactivate_idle_lanes() == 0


def test_a_lane_that_got_work_since_the_first_look_stays_awake(tenant: Tenant) -> None:
    """The gap between the looks is too short to meet in a race: the second one alone."""
    make_job(tenant)
    lane = Lane.objects.get(tenant_id=tenant.id)
    with as_role("dispatcher"):
        assert run_statement(SQL / "deactivate_lanes.sql", {"lanes": [lane.id]}) == []
    claim()
    with as_role("dispatcher"):
        assert len(run_statement(SQL / "deactivate_lanes.sql", {"lanes": [lane.id]})) == 1


def test_a_claim_that_was_not_published_goes_back_under_a_new_epoch(tenant: Tenant) -> None:
    job = make_job(tenant)
    refs = claim()
    with as_role("dispatcher"):
        assert return_claims(refs) == 1
    assert (live(job).state, live(job).attempt) == ("available", 0)
    assert start(refs) == []
    assert claim()[0].epoch > refs[0].epoch


def test_a_lost_message_counts_nothing(tenant: Tenant) -> None:
    job = make_job(tenant)
    refs = claim()
    end_lease(job)
    with as_role("dispatcher"):
        reaped = reap_leases()
    assert (reaped.returned, reaped.crashed) == (1, 0)
    row = live(job)
    assert (row.state, row.attempt, row.crash_count) == ("available", 0, 0)
    assert start(refs) == []


def test_a_dead_worker_counts_a_crash_and_keeps_the_attempt(tenant: Tenant) -> None:
    job = make_job(tenant)
    start(claim())
    end_lease(job)
    with as_role("dispatcher"):
        assert reap_leases().crashed == 1
    row = live(job)
    assert (row.state, row.attempt, row.crash_count) == ("available", 1, 1)
    attempt = Attempt.objects.get(job_id=job_uuid(job))
    assert (attempt.outcome, attempt.number, attempt.epoch) == ("crashed", 1, 1)


def test_the_third_crash_suspends_the_job(tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=1)
    for _ in range(3):
        start(claim())
        end_lease(job)
        with as_role("dispatcher"):
            reap_leases()
    row = live(job)
    assert (row.state, row.crash_count, row.suspended_reason) == ("suspended", 3, "crashes")
    assert claim() == []


def test_a_living_lease_is_not_reaped(tenant: Tenant) -> None:
    make_job(tenant)
    start(claim())
    with as_role("dispatcher"):
        reaped = reap_leases()
    assert (reaped.returned, reaped.crashed) == (0, 0)


def test_the_dispatcher_claims_without_a_key_or_a_tenant(tenant: Tenant, role: Any) -> None:
    make_job(tenant, payload={"secret": "x"})
    with role("dispatcher"):
        assert len(claim_jobs("handlers", limit=1, lease_seconds=30)) == 1
