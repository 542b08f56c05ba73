"""GET /v1/webhook-endpoints/{id}/deliveries and POST /v1/deliveries/{id}/retry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now

from jobservice import ids
from jobservice.webhooks import delivery_lists
from jobservice.webhooks.delivery_lists import MAX_ATTEMPTS
from jobservice.webhooks.endpoints import EndpointView
from jobservice.webhooks.models import Delivery, DeliveryAttempt, LiveDelivery
from tenants.models import Blob
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import Tenant
from tests.webhooks.test_deliveries import make_delivery, stage
from tests.webhooks.test_endpoints import change, end_job, make_endpoint, record, runs
from workers.executors.deliveries import Try, make_result

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(tenant: Tenant) -> EndpointView:
    return make_endpoint(tenant)


def address(endpoint: EndpointView) -> str:
    return f"/v1/webhook-endpoints/{ids.show_id(ids.ENDPOINT, endpoint.id)}/deliveries"


def listed(api: Any, tenant: Tenant, endpoint: EndpointView, query: str = "") -> Any:
    answer = api.get(address(endpoint) + query, key=tenant.api_key)
    assert answer.status_code == 200, answer.content
    return answer.json()


def answer_all(*tries: Try) -> None:
    """Bring each of these answers to whatever is due then, one after the other."""
    for tried in tries:
        LiveDelivery.objects.filter(state="waiting").update(due_at=Now() - timedelta(seconds=1))
        stage()
        record(*[make_result(run, tried) for run in runs()])


def retry(api: Any, tenant: Tenant, delivery_id: UUID | None = None, **headers: str) -> Any:
    wanted = Delivery.objects.get(tenant_id=tenant.id).id if delivery_id is None else delivery_id
    return api.post(f"/v1/deliveries/{ids.show_id(ids.DELIVERY, wanted)}/retry", {}, key=tenant.api_key, **headers)


def test_a_delivery_shows_its_event_its_state_and_its_tries(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    answer_all(Try(status=503, elapsed_seconds=0.04), Try(error_class="timeout", elapsed_seconds=30))
    (delivery,) = listed(api, tenant, endpoint)["data"]
    live = LiveDelivery.objects.get()
    second, first = delivery["attempts"]
    assert delivery["next_attempt_at"] == second["next_attempt_at"]
    assert (delivery["state"], delivery["attempt"], delivery["finished_at"]) == ("pending", 2, None)
    assert delivery["id"] == ids.show_id(ids.DELIVERY, live.delivery_id)
    assert delivery["event"]["type"] == "job.completed"
    assert delivery["job_id"].startswith("job_")
    assert first == {**first, "number": 1, "status": 503, "duration_ms": 40, "error": None}
    assert second == {**second, "number": 2, "status": None, "duration_ms": 30_000, "error": "timeout"}
    answer_all(Try(status=200))
    (delivery,) = listed(api, tenant, endpoint)["data"]
    assert (delivery["state"], delivery["attempt"], delivery["next_attempt_at"]) == ("delivered", 3, None)
    assert delivery["finished_at"] is not None


def test_each_state_is_shown_and_found(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    answer_all(Try(status=200))
    for _ in range(4):
        end_job(tenant)
    failed, _, claimed, delivering = LiveDelivery.objects.order_by("delivery_id").values_list("delivery_id", flat=True)
    Delivery.objects.filter(id=failed).update(final_state="failed", finished_at=Now())
    LiveDelivery.objects.filter(delivery_id=failed).delete()
    soon = Now() + timedelta(seconds=30)
    LiveDelivery.objects.filter(delivery_id=claimed).update(state="dispatched", lease_until=soon)
    LiveDelivery.objects.filter(delivery_id=delivering).update(
        state="delivering", lease_until=soon, worker_id=ids.new_id()
    )
    change(tenant, endpoint, status="paused")
    end_job(tenant)
    states = ["held", "delivering", "pending", "pending", "failed", "delivered"]
    page = listed(api, tenant, endpoint)
    assert ([one["state"] for one in page["data"]], page["next_cursor"]) == (states, None)
    for state in set(states):
        page = listed(api, tenant, endpoint, f"?state={state}")
        assert [one["state"] for one in page["data"]] == [one for one in states if one == state]
        assert page["next_cursor"] is None


def test_deliveries_come_in_pages_the_newest_first_with_and_without_a_filter(
    api: Any, tenant: Any, endpoint: EndpointView
) -> None:
    for _ in range(5):
        end_job(tenant)
    newest = [ids.show_id(ids.DELIVERY, one) for one in Delivery.objects.order_by("-id").values_list("id", flat=True)]
    for query in ("", "&state=pending", "&event=job.completed"):
        found, cursor, pages = [], "", 0
        while True:
            page = listed(api, tenant, endpoint, f"?limit=2{query}{cursor}")
            found += [one["id"] for one in page["data"]]
            pages += 1
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert (found, pages) == (newest, 3)


def test_a_filter_looks_at_so_many_deliveries_for_a_page_and_finds_them_all(
    api: Any, tenant: Any, endpoint: EndpointView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_lists, "WINDOW", 3)
    end_job(tenant, "failed")
    for _ in range(7):
        end_job(tenant)
    sizes, cursor = [], ""
    while True:
        page = listed(api, tenant, endpoint, f"?event=job.discarded&limit=2{cursor}")
        sizes.append(len(page["data"]))
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sizes == [0, 0, 1]
    page = listed(api, tenant, endpoint, "?event=job.completed&limit=2")
    rest = listed(api, tenant, endpoint, f"?event=job.completed&limit=2&cursor={page['next_cursor']}")
    assert len({one["id"] for one in page["data"] + rest["data"]}) == 4


def test_a_cursor_belongs_to_one_endpoint_and_its_filters(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    other = make_endpoint(tenant)
    for _ in range(2):
        end_job(tenant)
    cursor = listed(api, tenant, endpoint, "?limit=1")["next_cursor"]
    for path in (address(other) + "?", address(endpoint) + "?state=pending&"):
        assert faults(api.get(f"{path}cursor={cursor}", key=tenant.api_key)) == {("/cursor", "bad-cursor")}
    assert listed(api, tenant, endpoint, f"?limit=1&cursor={cursor}")["data"]


def test_other_endpoints_and_callbacks_are_not_in_the_list(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    make_endpoint(tenant)
    make_delivery(tenant)
    assert Delivery.objects.count() == 3
    assert len(listed(api, tenant, endpoint)["data"]) == 1


def test_the_latest_tries_are_shown_and_no_more(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    delivery = Delivery.objects.get()
    for number in range(1, MAX_ATTEMPTS + 6):
        DeliveryAttempt.objects.create(
            id=ids.new_id(),
            tenant_id=tenant.id,
            delivery_id=delivery.id,
            event_id=delivery.event_id,
            number=number,
            duration_ms=1,
        )
    (shown,) = listed(api, tenant, endpoint)["data"]
    assert [one["number"] for one in shown["attempts"]] == list(range(MAX_ATTEMPTS + 5, 5, -1))


def test_answers_are_opened_on_demand_for_a_key_that_may_read_payloads(
    api: Any, tenant: Any, endpoint: EndpointView, caplog: Any
) -> None:
    end_job(tenant)
    answer_all(Try(status=500, body=b"no such table: \xc3"), Try(status=500), Try(status=500, body=b"gone"))
    answer_id = DeliveryAttempt.objects.get(number=3).answer_id
    assert answer_id is not None
    altered = Blob.objects.get(id=answer_id)
    Blob.objects.filter(id=altered.id).update(sealed=bytes(altered.sealed)[:-1] + b"\x00\x00")
    shown = listed(api, tenant, endpoint, "?include=answers")["data"][0]["attempts"]
    assert [one["answer"] for one in shown] == [None, None, "no such table: \ufffd"]
    assert "answers_opened" in caplog.text
    assert "no such table" not in caplog.text
    assert all("answer" not in one for one in listed(api, tenant, endpoint)["data"][0]["attempts"])
    weak = make_key(tenant, "webhooks:write")
    problem(api.get(f"{address(endpoint)}?include=answers", key=weak), 403, "insufficient-scope")
    assert api.get(address(endpoint), key=weak).status_code == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=dispatched", ("/state", "out-of-range")),
        ("event=job.updated", ("/event", "out-of-range")),
        ("include=payload", ("/include", "out-of-range")),
        ("limit=0", ("/limit", "out-of-range")),
        ("cursor=x", ("/cursor", "bad-cursor")),
        ("type=echo", ("/type", "unknown-parameter")),
    ],
)
def test_wrong_parameters_are_refused(
    api: Any, tenant: Any, endpoint: EndpointView, query: str, expected: tuple[str, str]
) -> None:
    assert faults(api.get(f"{address(endpoint)}?{query}", key=tenant.api_key)) == {expected}


@pytest.mark.parametrize("final", [Try(status=200), Try(error_class="unreadable")])
def test_a_delivery_that_is_over_is_sent_again_and_tried_as_often_as_a_new_one(
    api: Any, tenant: Any, endpoint: EndpointView, final: Try
) -> None:
    end_job(tenant)
    answer_all(Try(status=500), Try(status=500), final)
    ended = Delivery.objects.get()
    assert (ended.final_state is not None, ended.attempts) == (True, 3)
    answer = retry(api, tenant)
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["state"], shown["attempt"], shown["finished_at"]) == ("pending", 3, None)
    assert len(shown["attempts"]) == 3
    live = LiveDelivery.objects.get()
    assert ended.epoch is not None
    assert (live.epoch, live.attempt, live.earlier_attempts) == (ended.epoch + 1, 3, 3)
    (run,) = runs()
    assert (run.delivery.attempt, run.delivery.tries, run.delivery.event_id) == (4, 1, ended.event_id)
    result = make_result(run, Try(status=500), draw=0.5)
    assert result.delay_seconds == 5, "the schedule begins again"
    record(result)
    answer_all(Try(status=204))
    (shown,) = listed(api, tenant, endpoint)["data"]
    assert (shown["state"], [one["number"] for one in shown["attempts"]]) == ("delivered", [5, 4, 3, 2, 1])
    again = Delivery.objects.get()
    assert again.epoch is not None
    assert (again.attempts, again.epoch > ended.epoch + 1) == (5, True)


def test_a_result_of_before_the_retry_changes_nothing(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    (run,) = runs()
    late = make_result(run, Try(status=200))
    record(make_result(run, Try(error_class="unreadable")))
    retry(api, tenant)
    record(late)
    assert LiveDelivery.objects.get().state == "pending"
    (new,) = runs()
    assert new.delivery.epoch > run.delivery.epoch
    record(late)
    assert (LiveDelivery.objects.get().state, DeliveryAttempt.objects.count()) == ("delivering", 1)


def test_a_callback_is_sent_again_too(api: Any, tenant: Any) -> None:
    make_delivery(tenant)
    answer_all(Try(status=410))
    assert Delivery.objects.get().final_state == "failed"
    shown = retry(api, tenant).json()
    assert (shown["state"], shown["event"]["type"]) == ("pending", "job.completed")
    answer_all(Try(status=200))
    assert Delivery.objects.get().final_state == "delivered"


def test_a_delivery_that_waits_is_due_now_and_goes_on_in_its_schedule(
    api: Any, tenant: Any, endpoint: EndpointView
) -> None:
    end_job(tenant)
    answer_all(Try(status=500))
    LiveDelivery.objects.update(due_at=Now() + timedelta(hours=1))
    assert (stage(), runs()) == (0, [])
    shown = retry(api, tenant).json()
    assert (shown["state"], shown["attempt"]) == ("pending", 1)
    assert stage() == 1
    (run,) = runs()
    assert (run.delivery.attempt, run.delivery.tries) == (2, 2)


def test_one_that_is_due_keeps_its_place(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    LiveDelivery.objects.update(due_at=Now() - timedelta(hours=1))
    before = LiveDelivery.objects.values().get()
    assert retry(api, tenant).status_code == 200
    assert LiveDelivery.objects.values().get() == before


def test_one_that_was_just_claimed_is_left_as_it_is(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    LiveDelivery.objects.update(state="dispatched", lease_until=Now() + timedelta(seconds=30))
    before = LiveDelivery.objects.values().get()
    assert retry(api, tenant).json()["state"] == "pending"
    assert LiveDelivery.objects.values().get() == before


def test_one_on_its_way_or_held_is_refused(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    assert len(runs()) == 1
    problem(retry(api, tenant), 409, "conflict")
    LiveDelivery.objects.update(state="held", lease_until=None, worker_id=None)
    problem(retry(api, tenant), 409, "conflict")
    assert LiveDelivery.objects.get().state == "held"


def test_one_to_a_paused_endpoint_is_held_until_it_is_enabled(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    answer_all(Try(status=200))
    change(tenant, endpoint, status="paused")
    assert retry(api, tenant).json()["state"] == "held"
    assert runs() == []


def test_one_to_a_deleted_endpoint_is_refused(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    answer_all(Try(status=500), Try(error_class="unreadable"))
    api.delete(address(endpoint).removesuffix("/deliveries"), key=tenant.api_key)
    problem(retry(api, tenant), 409, "conflict")
    assert not LiveDelivery.objects.exists()
    assert Delivery.objects.get().final_state == "failed"


def test_one_of_an_erased_job_is_not_there(api: Any, tenant: Any, endpoint: EndpointView) -> None:
    end_job(tenant)
    (shown,) = listed(api, tenant, endpoint)["data"]
    delivery_id = Delivery.objects.get().id
    assert api.delete(f"/v1/jobs/{shown['job_id']}", key=tenant.api_key).status_code == 204
    problem(retry(api, tenant, delivery_id), 404, "not-found")
    assert listed(api, tenant, endpoint)["data"] == []


def test_a_delivery_that_ended_before_it_kept_how_far_it_came_is_counted_by_its_tries(
    api: Any, tenant: Any, endpoint: EndpointView
) -> None:
    end_job(tenant)
    answer_all(Try(status=500), Try(status=200))
    Delivery.objects.update(attempts=None, epoch=None)
    assert retry(api, tenant).json()["attempt"] == 2
    (run,) = runs()
    assert (run.delivery.attempt, run.delivery.tries) == (3, 1)


def test_another_tenants_delivery_is_answered_as_an_unknown_one(api: Any, tenant: Any, other_tenant: Any) -> None:
    make_delivery(other_tenant)
    foreign = Delivery.objects.get().id
    before = LiveDelivery.objects.values().get()
    answers = [without_request_id(retry(api, tenant, one)) for one in (foreign, ids.new_id())]
    answers += [
        without_request_id(api.post(f"/v1/deliveries/{text}/retry", {}, key=tenant.api_key))
        for text in (ids.show_id(ids.JOB, foreign), "x", "dlv_%00")
    ]
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)
    assert LiveDelivery.objects.values().get() == before


def test_a_retry_needs_a_key_with_its_scope_and_every_queue_and_takes_nothing_else(
    api: Any, tenant: Any, endpoint: EndpointView
) -> None:
    end_job(tenant)
    path = f"/v1/deliveries/{ids.show_id(ids.DELIVERY, Delivery.objects.get().id)}/retry"
    problem(api.post(path, {}), 401, "unauthenticated")
    problem(api.post(path, {}, key=make_key(tenant, "jobs:write")), 403, "insufficient-scope")
    problem(api.post(path, {}, key=make_key(tenant, "webhooks:write", queues=["default"])), 403, "forbidden")
    assert faults(api.post(path, {"now": True}, key=tenant.api_key)) == {("/now", "unknown-field")}
    assert faults(api.post(f"{path}?x=1", {}, key=tenant.api_key)) == {("/x", "unknown-parameter")}
    assert api.post(path, key=make_key(tenant, "webhooks:write"), Content_Type="application/json").status_code == 200
