"""Receivers that do not answer, or ask for rest, hold up nobody else's deliveries."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.webhooks import delivery_claims
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import GOOD_SLOTS, NEW_SLOTS, TARGETS_PER_CLAIM, claim_deliveries
from jobservice.webhooks.delivery_records import FAILURES_TO_REST, DeliveryResult, record_deliveries
from jobservice.webhooks.endpoint_spec import parse_endpoint_change
from jobservice.webhooks.endpoints import change_endpoint
from jobservice.webhooks.events import tell_endpoint
from jobservice.webhooks.models import LiveDelivery, WebhookEndpoint
from tenants.context import tenant_tx
from tests.factories import Tenant, make_tenant
from tests.roles import as_role
from tests.webhooks.test_deliveries import make_delivery
from tests.webhooks.test_endpoints import make_endpoint
from workers.executors.deliveries import MOST_THROTTLED_SECONDS, UNREADABLE, Try, make_result, prepare_deliveries

pytestmark = pytest.mark.django_db
WORKER = new_id()
SLOTS = 200


def tell(tenant: Tenant, endpoint_id: UUID, count: int) -> None:
    with as_role("web"), tenant_tx(tenant.id):
        for _ in range(count):
            tell_endpoint(tenant.id, endpoint_id, "webhook.test", {"n": 1})


def claim(limit: int = SLOTS) -> list[Ref]:
    with as_role("dispatcher"):
        return claim_deliveries(limit, lease_seconds=30, slots=SLOTS)


def targets(refs: list[Ref]) -> Counter[UUID | None]:
    rows = dict(LiveDelivery.objects.values_list("delivery_id", "endpoint_id"))
    return Counter(rows[ref.id] for ref in refs)


def try_all(tried: Try, limit: int = SLOTS) -> int:
    """Claim, and answer all alike; how many."""
    with as_role("worker"):
        runs = prepare_deliveries(start_deliveries(claim(limit), worker_id=WORKER, lease_seconds=30))
        record_deliveries([make_result(run, tried) for run in runs])
    return len(runs)


def known_good(tenant: Tenant) -> UUID:
    endpoint = make_endpoint(tenant)
    tell(tenant, endpoint.id, 1)
    assert try_all(Try(status=200)) == 1
    return endpoint.id


def make_due() -> None:
    LiveDelivery.objects.filter(state="waiting").update(state="pending", due_at=Now())


def test_one_that_nobody_has_tried_gets_a_few_at_once_and_many_when_it_works(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    tell(tenant, endpoint.id, 80)
    assert try_all(Try(status=200)) == NEW_SLOTS
    assert len(claim(30)) == 30
    assert len(claim()) == GOOD_SLOTS - 30
    assert claim() == [], "as many as it may have are under way"


def test_one_that_fails_gets_fewer_each_time_and_all_again_after_a_success(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    tell(tenant, endpoint.id, 60)
    found = [try_all(Try(status=500)) for _ in range(4)]
    assert found == [NEW_SLOTS, NEW_SLOTS // 2, NEW_SLOTS // 4, 1]
    assert try_all(Try(status=200)) == 1
    assert len(claim()) > NEW_SLOTS


def test_one_that_is_slow_gets_few_though_it_answers(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    tell(tenant, endpoint.id, 60)
    try_all(Try(status=200, elapsed_seconds=20))
    assert len(claim()) == NEW_SLOTS


@pytest.mark.deep
@pytest.mark.parametrize("targets_per_claim", [TARGETS_PER_CLAIM, 5])
def test_500_endpoints_that_never_answer_leave_room_for_those_that_do(
    tenant: Tenant, targets_per_claim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few targets a claim looks at: those that can get nothing are not looked at."""
    good = known_good(tenant)
    for _ in range(10):
        hostile = make_tenant()
        for _ in range(50):
            tell(hostile, make_endpoint(hostile).id, 3)
    first = claim()
    monkeypatch.setattr(delivery_claims, "TARGETS_PER_CLAIM", targets_per_claim)
    assert len(first) <= SLOTS // 2, "of those that nobody has tried no more than half of the slots"
    # They hang, and more comes of them; somebody else's goes out all the same.
    tell(tenant, good, 40)
    assert targets(claim()) == {good: 40}


def test_of_many_tenants_that_nobody_has_tried_each_has_its_turn(tenant: Tenant) -> None:
    crowd = [make_endpoint(tenant).id for _ in range(40)]
    for endpoint_id in crowd:
        tell(tenant, endpoint_id, 5)
    alone = make_tenant()
    quiet = make_endpoint(alone).id
    tell(alone, quiet, 2)
    taken = targets(claim())
    assert taken[quiet] == 2
    assert sum(taken.values()) - 2 == SLOTS // 8, "one tenant's untried endpoints have a part of the slots together"
    assert max(taken[endpoint_id] for endpoint_id in crowd) == 1


def test_when_there_are_few_slots_each_tenant_gets_one_before_any_gets_two(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    first, second = known_good(tenant), known_good(other_tenant)
    tell(tenant, first, 5)
    tell(other_tenant, second, 5)
    for _ in range(2):
        assert targets(claim(2)) == {first: 1, second: 1}


def test_a_tenant_never_has_all_slots(tenant: Tenant) -> None:
    endpoints = [known_good(tenant) for _ in range(5)]
    for endpoint_id in endpoints:
        tell(tenant, endpoint_id, GOOD_SLOTS)
    assert len(claim(500)) == SLOTS * 3 // 4


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_endpoint_that_asks_for_rest_gets_it_for_all_its_events(
    tenant: Tenant, other_tenant: Tenant, status: int
) -> None:
    resting, other = known_good(tenant), known_good(other_tenant)
    tell(tenant, resting, 3)
    assert try_all(Try(status=status, retry_after_seconds=60), limit=1) == 1
    make_due()
    tell(other_tenant, other, 1)
    assert targets(claim()) == {other: 1}


@pytest.mark.parametrize(
    "mended",
    [
        {"status": "enabled"},
        {"url": "http://127.0.0.1:9/new"},
        {"headers": {"Authorization": "Bearer new"}},
        {"signing": {"own": True}},
    ],
)
def test_an_endpoint_that_was_mended_rests_no_more(tenant: Tenant, mended: dict[str, Any]) -> None:
    resting = known_good(tenant)
    tell(tenant, resting, 1)
    try_all(Try(status=503, retry_after_seconds=60))
    make_due()
    with as_role("web"):
        change_endpoint(tenant.id, resting, parse_endpoint_change({"events": ["job.completed"]}))
        assert claim() == []
    with as_role("web"):
        change_endpoint(tenant.id, resting, parse_endpoint_change(mended))
    assert targets(claim()) == {resting: 1}


def test_the_rest_that_an_endpoint_can_ask_for_is_bounded(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    tell(tenant, endpoint.id, 1)
    with as_role("worker"):
        (run,) = prepare_deliveries(start_deliveries(claim(), worker_id=WORKER, lease_seconds=30))
        result = make_result(run, Try(status=503, retry_after_seconds=86_400))
    assert result.rest_seconds == MOST_THROTTLED_SECONDS
    assert make_result(run, Try(status=500, retry_after_seconds=60)).rest_seconds is None


def test_an_endpoint_of_which_every_try_fails_rests_and_is_then_tried_by_one(tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    tell(tenant, endpoint.id, 60)
    for _ in range(FAILURES_TO_REST):
        assert try_all(Try(error_class="timeout")) > 0
        make_due()
    assert claim() == [], "it rests"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_health SET blocked_until = now() - interval '1 second'")
    assert try_all(Try(status=200)) == 1, "one try finds out"
    assert len(claim()) > NEW_SLOTS


def test_the_callbacks_of_a_tenant_go_on_though_one_receiver_is_away(tenant: Tenant) -> None:
    for _ in range(20):
        make_delivery(tenant)
    for _ in range(10):
        assert try_all(Try(error_class="connect"), limit=1) == 1
    assert len(claim()) == 1, "one at a time, but without a rest"
    LiveDelivery.objects.filter(lease_until__isnull=False).update(lease_until=Now() - timedelta(seconds=1))


def test_what_was_never_sent_says_nothing_of_its_receiver(tenant: Tenant) -> None:
    endpoint = known_good(tenant)
    tell(tenant, endpoint, 60)
    for _ in range(FAILURES_TO_REST):
        assert try_all(Try(error_class=UNREADABLE), limit=1) == 1
    assert len(claim()) == GOOD_SLOTS
    assert WebhookEndpoint.objects.get().failing_since is None


def test_a_result_that_came_too_late_says_nothing_of_its_target(tenant: Tenant) -> None:
    endpoint = known_good(tenant)
    tell(tenant, endpoint, 1)
    (ref,) = claim()
    with as_role("worker"):
        start_deliveries([ref], worker_id=WORKER, lease_seconds=30)
        stale = Ref(ref.tenant_id, ref.id, ref.epoch + 1)
        record_deliveries([DeliveryResult(stale, duration_ms=1, status=500, endpoint_id=endpoint, rest_seconds=60.0)])
    tell(tenant, endpoint, 1)
    assert len(claim()) == 1
