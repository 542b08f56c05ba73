"""POST /v1/webhook-endpoints/{id}/replay: which deliveries are sent again, and how."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from jobservice import ids
from jobservice.ids import new_id
from jobservice.jobs import bulk_actions, bulk_kinds, bulk_turns
from jobservice.jobs.models import BulkAction
from jobservice.webhooks.delivery_records import DeliveryResult
from jobservice.webhooks.endpoints import EndpointView, delete_endpoint, send_test_event
from jobservice.webhooks.models import Delivery, DeliveryAttempt, Event, LiveDelivery
from tests.api.bulk_actions import counts, serve_all
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.api.replays import address, make_deliveries, replay, under_way
from tests.factories import Tenant
from tests.roles import as_role, set_role
from tests.webhooks.test_endpoints import change, end_job, make_endpoint, record, release, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(tenant: Tenant) -> EndpointView:
    return make_endpoint(tenant)


def happened(delivery_id: UUID, *, minutes_ago: int) -> Any:
    """Move the event of a delivery to then; the moment."""
    at = timezone.now() - timedelta(minutes=minutes_ago)
    Event.objects.filter(id=Delivery.objects.get(id=delivery_id).event_id).update(at=at)
    return at.isoformat()


def test_what_failed_is_sent_again_under_the_same_id_its_tries_counted_on(
    api: Any, tenant: Tenant, endpoint: EndpointView
) -> None:
    end_job(tenant)
    (first,) = start()
    record(DeliveryResult(first.ref, duration_ms=1, status=500, final_state="failed", endpoint_id=endpoint.id))
    answer = replay(api, tenant, endpoint)
    shown = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (200, f"/v1/bulk-actions/{shown['id']}")
    assert shown == {
        "id": shown["id"],
        "action": "replay",
        "endpoint_id": ids.show_id(ids.ENDPOINT, endpoint.id),
        "filter": {"since": "2020-01-01T00:00:00Z", "states": ["failed"], "events": ["*"]},
        "max": 100_000,
        "status": "completed",
        "matched": 1,
        "done": 1,
        "skipped": 0,
        "error": None,
        "created_at": shown["created_at"],
        "finished_at": shown["finished_at"],
    }
    assert api.get(answer.headers["Location"], key=tenant.api_key).json() == shown
    (again,) = start()
    assert (again.delivery_id, again.event_id) == (first.delivery_id, first.event_id)
    assert (again.attempt, again.tries, again.epoch > first.epoch) == (2, 1, True)
    record(DeliveryResult(again.ref, duration_ms=1, status=204, final_state="delivered", endpoint_id=endpoint.id))
    assert list(DeliveryAttempt.objects.order_by("number").values_list("number", "status")) == [(1, 500), (2, 204)]


def test_the_dispatcher_is_woken_for_what_is_due(
    api: Any,
    tenant: Tenant,
    endpoint: EndpointView,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    make_deliveries(tenant, endpoint, count=2)
    woken: list[bool] = []
    monkeypatch.setattr(bulk_kinds, "wake_dispatcher", lambda: woken.append(True))
    with django_capture_on_commit_callbacks(execute=True):
        replay(api, tenant, endpoint)
    assert woken == [True, True]


def test_only_this_endpoints_failures_are_sent_again(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    failed = make_deliveries(tenant, endpoint, count=3)
    make_deliveries(tenant, endpoint, state="delivered")
    other = make_endpoint(tenant)
    make_deliveries(tenant, other)
    LiveDelivery.objects.all().delete()
    Delivery.objects.filter(final_state=None).update(final_state="delivered", finished_at=Now())
    make_deliveries(tenant, other)
    waiting = under_way()
    assert counts(replay(api, tenant, endpoint).json()) == ("completed", 3, 3, 0)
    assert {one: state for one, state in under_way().items() if one not in waiting} == dict.fromkeys(failed, "pending")


def test_the_window_has_its_beginning_and_not_its_end(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    old, middle, new = make_deliveries(tenant, endpoint, count=3)
    happened(old, minutes_ago=30)
    since, until = happened(middle, minutes_ago=20), happened(new, minutes_ago=10)
    shown = replay(api, tenant, endpoint, since=since, until=until).json()
    assert counts(shown) == ("completed", 1, 1, 0)
    assert shown["filter"] == {
        **shown["filter"],
        "since": since.replace("+00:00", "Z"),
        "until": until.replace("+00:00", "Z"),
    }
    assert list(under_way()) == [middle]


def test_only_the_asked_events_are_sent_again_and_tests_never(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    make_deliveries(tenant, endpoint)
    end_job(tenant, "failed")
    with as_role("web"):
        send_test_event(tenant.id, endpoint.id)
    LiveDelivery.objects.all().delete()
    Delivery.objects.update(final_state="failed", finished_at=Now())
    shown = replay(api, tenant, endpoint, events=["job.discarded", "job.cancelled"]).json()
    assert (counts(shown), shown["filter"]["events"]) == (("completed", 1, 1, 0), ["job.cancelled", "job.discarded"])
    (delivery_id,) = under_way()
    assert Event.objects.get(id=Delivery.objects.get(id=delivery_id).event_id).type == "job.discarded"
    assert counts(replay(api, tenant, endpoint, events=["*", "job.discarded"]).json()) == ("completed", 1, 1, 0)


def test_what_was_taken_is_sent_again_when_it_is_asked_for(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    taken = make_deliveries(tenant, endpoint, state="delivered", count=2)
    failed = make_deliveries(tenant, endpoint)
    assert counts(replay(api, tenant, endpoint, states=["delivered"]).json()) == ("completed", 2, 2, 0)
    assert sorted(under_way()) == taken
    assert counts(replay(api, tenant, endpoint, states=["failed", "delivered"]).json()) == ("completed", 1, 1, 0)
    assert sorted(under_way()) == taken + failed


def test_what_waits_for_its_next_try_is_due_now(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    for _ in range(3):
        end_job(tenant)
    waiting, going, _ = sorted(under_way())
    later = timezone.now() + timedelta(hours=5)
    LiveDelivery.objects.filter(delivery_id=waiting).update(state="waiting", due_at=later)
    soon = Now() + timedelta(seconds=30)
    LiveDelivery.objects.filter(delivery_id=going).update(state="delivering", lease_until=soon, worker_id=new_id())
    assert counts(replay(api, tenant, endpoint).json()) == ("completed", 0, 0, 0)
    assert counts(replay(api, tenant, endpoint, states=["pending"]).json()) == ("completed", 2, 2, 0)
    assert LiveDelivery.objects.get(delivery_id=waiting).due_at < later
    assert (len(under_way()), LiveDelivery.objects.get(delivery_id=going).state) == (3, "delivering")


@pytest.mark.parametrize("became", ["pending", "delivering", "delivered"])
@pytest.mark.parametrize("when", ["before it is found", "before its turn"])
def test_what_went_on_by_itself_meanwhile_is_skipped(
    api: Any, tenant: Tenant, endpoint: EndpointView, monkeypatch: pytest.MonkeyPatch, became: str, when: str
) -> None:
    monkeypatch.setattr(bulk_actions, "SMALL_JOBS", 0)
    first, second = make_deliveries(tenant, endpoint, count=2)
    assert replay(api, tenant, endpoint).status_code == 202
    find = bulk_turns._find_work

    def find_between(lease: Any) -> Any:
        work = None if when == "before it is found" else find(lease)
        if first not in under_way():
            set_role("owner")
            go_on(tenant, endpoint, first, became)
            set_role("web")
        return work or find(lease)

    monkeypatch.setattr(bulk_turns, "_find_work", find_between)
    serve_all()
    action = BulkAction.objects.get()
    assert (action.status, action.matched, action.done, action.skipped) == ("completed", 2, 1, 1)
    live = {one.delivery_id: (one.state, one.epoch) for one in LiveDelivery.objects.all()}
    assert live == {second: ("pending", 2), **({} if became == "delivered" else {first: (became, 7)})}


def go_on(tenant: Tenant, endpoint: EndpointView, delivery_id: UUID, state: str) -> None:
    """As if somebody had sent it again by a retry of its own."""
    if state == "delivered":
        Delivery.objects.filter(id=delivery_id).update(final_state=state)
        return
    Delivery.objects.filter(id=delivery_id).update(final_state=None, finished_at=None)
    lease = {"lease_until": Now() + timedelta(seconds=30), "worker_id": new_id()} if state == "delivering" else {}
    LiveDelivery.objects.create(
        delivery_id=delivery_id, tenant_id=tenant.id, endpoint_id=endpoint.id, state=state, epoch=7, **lease
    )


def test_of_a_paused_endpoint_they_are_held_until_it_is_enabled(
    api: Any, tenant: Tenant, endpoint: EndpointView
) -> None:
    failed = make_deliveries(tenant, endpoint, count=2)
    change(tenant, endpoint, status="paused")
    assert counts(replay(api, tenant, endpoint).json()) == ("completed", 2, 2, 0)
    assert under_way() == dict.fromkeys(failed, "held")
    assert (release(), start()) == (0, [])
    change(tenant, endpoint, status="enabled")
    assert release() == 2
    assert sorted(one.delivery_id for one in start()) == failed


def test_once_the_endpoint_is_deleted_the_rest_is_skipped(
    api: Any, tenant: Tenant, endpoint: EndpointView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "SMALL_JOBS", 0)
    make_deliveries(tenant, endpoint, count=2)
    shown = replay(api, tenant, endpoint).json()
    with as_role("web"):
        delete_endpoint(tenant.id, endpoint.id)
    serve_all()
    found = api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()
    assert (counts(found), found["endpoint_id"]) == (("completed", 2, 0, 2), shown["endpoint_id"])
    assert under_way() == {}
    problem(replay(api, tenant, endpoint), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"since": None}, {("/since", "required")}),
        ({"since": "yesterday"}, {("/since", "bad-format")}),
        ({"since": "2027-01-31T12:00:00"}, {("/since", "bad-format")}),
        ({"since": 1}, {("/since", "wrong-type")}),
        ({"since": "9000-01-01T00:00:00Z"}, {("/since", "out-of-range")}),
        ({"until": "2020-01-01T00:00:00Z"}, {("/until", "out-of-range")}),
        ({"until": "2019-01-01T00:00:00+01:00", "max": 3}, {("/until", "out-of-range"), ("/max", "unknown-field")}),
        ({"states": "failed"}, {("/states", "wrong-type")}),
        ({"states": []}, {("/states", "out-of-range")}),
        ({"states": ["failed", "held", "delivering"]}, {("/states/1", "out-of-range"), ("/states/2", "out-of-range")}),
        ({"states": [1]}, {("/states", "wrong-type")}),
        ({"events": ["job.completed", "job.done"]}, {("/events/1", "out-of-range")}),
        ({"events": ["webhook.test"]}, {("/events/0", "out-of-range")}),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    api: Any, tenant: Tenant, endpoint: EndpointView, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    make_deliveries(tenant, endpoint)
    assert faults(replay(api, tenant, endpoint, **body)) == expected
    assert (under_way(), BulkAction.objects.count()) == ({}, 0)


def test_the_body_is_an_object_and_the_query_empty(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    assert faults(api.post(address(endpoint), [], key=tenant.api_key)) == {("", "wrong-type")}
    answer = api.post(f"{address(endpoint)}?since=1", {"since": "2020-01-01T00:00:00Z"}, key=tenant.api_key)
    assert faults(answer) == {("/since", "unknown-parameter")}


def test_another_tenants_endpoint_is_answered_as_an_unknown_one(
    api: Any, tenant: Tenant, other_tenant: Tenant, endpoint: EndpointView
) -> None:
    make_deliveries(tenant, endpoint)
    body = {"since": "2020-01-01T00:00:00Z"}
    unknown = f"/v1/webhook-endpoints/{ids.show_id(ids.ENDPOINT, new_id())}/replay"
    answers = [
        api.post(path, body, key=other_tenant.api_key)
        for path in (address(endpoint), unknown, "/v1/webhook-endpoints/end_x/replay")
    ]
    problem(answers[0], 404, "not-found")
    told = [without_request_id(answer) for answer in answers]
    assert told == told[:1] * 3
    assert (under_way(), BulkAction.objects.count()) == ({}, 0)


def test_it_takes_the_scope_of_webhooks_and_every_queue(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    make_deliveries(tenant, endpoint)
    problem(api.post(address(endpoint), {}), 401, "unauthenticated")
    weak = make_key(tenant, "jobs:read", "jobs:write")
    assert "webhooks:write" in problem(replay(api, tenant, endpoint, key=weak), 403, "insufficient-scope")["detail"]
    narrow = make_key(tenant, "webhooks:write", queues=["default"])
    problem(replay(api, tenant, endpoint, key=narrow), 403, "forbidden")
    assert (under_way(), BulkAction.objects.count()) == ({}, 0)
    assert replay(api, tenant, endpoint, key=make_key(tenant, "webhooks:write")).status_code == 200


def test_a_request_sent_again_replays_nothing_twice(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    failed = make_deliveries(tenant, endpoint)
    first = replay(api, tenant, endpoint, idempotency="k1")
    LiveDelivery.objects.all().delete()
    Delivery.objects.filter(id__in=failed).update(final_state="failed", finished_at=Now())
    again = replay(api, tenant, endpoint, idempotency="k1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (again.headers["Idempotent-Replayed"], BulkAction.objects.count()) == ("true", 1)
    assert under_way() == {}
    problem(replay(api, tenant, endpoint, idempotency="k1", states=["delivered"]), 422, "idempotency-key-reused")
