"""No dispatcher waits for a row that somebody else has locked: it does what is left, and comes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now

from jobservice.jobs.claims import Claim, claim_jobs, stage_due_jobs
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.models import Lane, LiveJob, Pool, Share, UniqueClaim
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.throttles import let_go_throttled
from jobservice.jobs.type_switch import resume_held_jobs
from jobservice.jobs.unique_claims import prune_unique_claims
from jobservice.webhooks.deliveries import reap_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.models import LiveDelivery
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import claim, count_looks, job_uuid, outcome_of, record, start
from tests.jobs.limiting import limit_queue
from tests.jobs.throttling import put_endpoint, throttle, wait_out
from tests.roles import set_role

# Long enough for a busy machine to do the statement itself; whoever waits for the lock waits for ever.
PATIENCE = "5s"
_PAST = Now() - timedelta(seconds=1)


def as_dispatcher(act: Callable[[], int]) -> int:
    """On another connection, where a wait for a lock is an error."""

    def run() -> int:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{PATIENCE}'")
            set_role("dispatcher")
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result(timeout=60)


@contextmanager
def locked(rows: Any) -> Iterator[None]:
    with transaction.atomic():
        assert list(rows.select_for_update().order_by("pk")[:1])
        yield


def _two(tenant: Tenant, **fields: Any) -> None:
    for _ in range(2):
        make_job(tenant, **fields)


def _available(tenant: Tenant) -> None:
    _two(tenant)


def _scheduled(tenant: Tenant) -> None:
    _two(tenant, delay_seconds=3600)
    LiveJob.objects.update(due_at=_PAST)


def _silent_claims(tenant: Tenant) -> None:
    _two(tenant)
    claim()
    LiveJob.objects.update(lease_until=_PAST)


def _silent_runs(tenant: Tenant) -> None:
    _two(tenant)
    start(claim())
    LiveJob.objects.update(lease_until=_PAST)


def _expired(tenant: Tenant) -> None:
    _two(tenant, start_deadline_seconds=60)
    LiveJob.objects.update(start_deadline_at=_PAST)


def _held(tenant: Tenant) -> None:
    _two(tenant)
    LiveJob.objects.update(state="suspended", suspended_reason="type-disabled")


def _throttled(tenant: Tenant) -> None:
    put_endpoint(tenant)
    throttle(tenant)
    _two(tenant, type="work.do")
    assert claim(pool="egress") == []
    # Those that wait only, for any row may be the one that is locked.
    LiveJob.objects.exclude(is_throttled=True).delete()
    wait_out(60)


def _let_go_next() -> int:
    wait_out(1)
    return let_go_throttled()


def _old_keys(tenant: Tenant) -> None:
    for key in ("a", "b"):
        make_job(tenant, unique={"key": key, "period_seconds": 1})
    record(*map(outcome_of, start(claim())))
    UniqueClaim.objects.update(expires_at=_PAST)


def _due_deliveries(tenant: Tenant) -> None:
    _two(tenant, callback_url="http://127.0.0.1:9/")
    record(*map(outcome_of, start(claim())))


def _silent_deliveries(tenant: Tenant) -> None:
    _due_deliveries(tenant)
    as_dispatcher(lambda: len(claim_deliveries(10, lease_seconds=30)))
    LiveDelivery.objects.update(lease_until=_PAST)


CASES: dict[str, tuple[Callable[[Tenant], None], Any, Callable[[], int]]] = {
    "claim a job": (_available, LiveJob, lambda: len(claim_jobs("handlers", limit=10, lease_seconds=30))),
    "stage": (_scheduled, LiveJob, stage_due_jobs),
    "reap a claim": (_silent_claims, LiveJob, lambda: reap_leases().returned),
    "reap a run": (_silent_runs, LiveJob, lambda: reap_leases().crashed),
    "expire": (_expired, LiveJob, expire_jobs),
    "resume": (_held, LiveJob, resume_held_jobs),
    "let go": (_throttled, LiveJob, _let_go_next),
    "prune a unique key": (_old_keys, UniqueClaim, prune_unique_claims),
    "claim a delivery": (_due_deliveries, LiveDelivery, lambda: len(claim_deliveries(10, lease_seconds=30))),
    "reap a delivery": (_silent_deliveries, LiveDelivery, reap_deliveries),
}


@pytest.mark.parametrize("verb", CASES)
def test_a_locked_row_is_passed_over_and_found_later(racing_tenant: Tenant, verb: str) -> None:
    prepare, table, act = CASES[verb]
    prepare(racing_tenant)
    with locked(table.objects):
        assert as_dispatcher(act) == 1
    assert as_dispatcher(act) == 1


def test_a_tenant_that_another_dispatcher_serves_is_passed_over(racing_tenant: Tenant) -> None:
    other = make_tenant()
    make_job(racing_tenant)
    theirs = make_job(other)
    taken: list[Claim] = []

    def claim_what_is_free() -> int:
        taken.extend(claim_jobs("handlers", limit=10, lease_seconds=30))
        return len(taken)

    with locked(Share.objects.filter(tenant_id=racing_tenant.id)):
        assert as_dispatcher(claim_what_is_free) == 1
    assert [claimed.ref.id for claimed in taken] == [job_uuid(theirs)]


@pytest.mark.parametrize("table", [Lane, Pool])
def test_a_claim_waits_neither_for_a_lane_nor_for_the_clock_and_keeps_the_limits(
    racing_tenant: Tenant, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may be putting the lane to sleep, or letting it go on; another dispatcher may be moving the clock."""
    looks = count_looks(monkeypatch)
    for _ in range(3):
        make_job(racing_tenant)
    limit_queue(racing_tenant, concurrency=2)
    with locked(table.objects):
        assert as_dispatcher(_claim_ten) == 2
        assert as_dispatcher(_claim_ten) == 0
    # One that finds the lane at its limit, and cannot say so, does not look for ever.
    assert len(looks) <= 5
    assert as_dispatcher(_claim_ten) == 0
    assert Lane.objects.get(tenant_id=racing_tenant.id).blocked_by == "queue-concurrency"


@pytest.mark.parametrize("queue", ["default", "another"])
def test_what_is_locked_uses_up_nobody_elses_turn(racing_tenant: Tenant, queue: str) -> None:
    """Its tenant is first in turn, and so is its queue."""
    held = make_job(racing_tenant)
    others = make_tenant() if queue == "default" else racing_tenant
    for _ in range(12):
        make_job(others, queue=queue)
    with locked(LiveJob.objects.filter(job_id=job_uuid(held))):
        for _ in range(2):
            assert as_dispatcher(lambda: len(claim_jobs("handlers", limit=1, lease_seconds=30))) == 1
        assert as_dispatcher(_claim_ten) == 10
    assert as_dispatcher(_claim_ten) == 1


def _claim_ten() -> int:
    return len(claim_jobs("handlers", limit=10, lease_seconds=30))
