"""Deliveries in the database: claimed, fenced, recorded once, and never lost; their schedule and their body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import InternalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.webhooks.deliveries import (
    StartedDelivery,
    reap_deliveries,
    release_deliveries,
    renew_deliveries,
    start_deliveries,
)
from jobservice.webhooks.delivery_claims import claim_deliveries, stage_due_deliveries
from jobservice.webhooks.delivery_records import DeliveryReport, DeliveryResult, record_deliveries
from jobservice.webhooks.event_body import BODY_LIMIT_BYTES, OpenedEvent, event_body
from jobservice.webhooks.models import Delivery, DeliveryAttempt, LiveDelivery
from jobservice.webhooks.retry_schedule import next_delivery_delay
from tests.factories import Tenant, make_job
from tests.jobs import dispatching
from tests.roles import as_role

WORKER = new_id()
DAY = 24 * 3600.0


def make_delivery(tenant: Tenant, *, result: bytes = b'{"n":1}', **fields: Any) -> None:
    """A job that has just completed and whose callback waits to be told."""
    make_job(tenant, callback_url="http://127.0.0.1:9/done", **fields)
    (started,) = dispatching.start(dispatching.claim())
    dispatching.record(dispatching.outcome_of(started, result=result))


def take_well(tenant: Tenant) -> None:
    """As if the receivers of the tenant's callbacks had taken all so far: then they have more slots than others."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO delivery_health (target_id, tenant_id) VALUES (%s, %s)", [tenant.id, tenant.id])


def claim(limit: int = 100) -> list[Ref]:
    with as_role("dispatcher"):
        return claim_deliveries(limit, lease_seconds=30)


def stage() -> int:
    with as_role("dispatcher"):
        return stage_due_deliveries()


def start(refs: Sequence[Ref]) -> list[StartedDelivery]:
    with as_role("worker"):
        return start_deliveries(refs, worker_id=WORKER, lease_seconds=30)


def record(*results: DeliveryResult) -> DeliveryReport:
    with as_role("worker"):
        return record_deliveries(results)


def reap() -> int:
    with as_role("dispatcher"):
        return reap_deliveries()


def held() -> int:
    """How many are claimed or under way."""
    return LiveDelivery.objects.filter(state__in=("dispatched", "delivering")).count()


def end_leases() -> None:
    LiveDelivery.objects.filter(lease_until__isnull=False).update(lease_until=Now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_a_due_delivery_is_claimed_once_and_under_a_new_epoch(tenant: Tenant) -> None:
    make_delivery(tenant)
    (ref,) = claim()
    assert (ref.tenant_id, ref.epoch) == (tenant.id, 1)
    assert claim() == []
    assert held() == 1


@pytest.mark.django_db
def test_the_longest_due_goes_first_and_what_is_not_due_waits(tenant: Tenant) -> None:
    for _ in range(3):
        make_delivery(tenant)
    later, soon, first = LiveDelivery.objects.order_by("delivery_id")
    LiveDelivery.objects.filter(delivery_id=later.delivery_id).update(
        state="waiting", due_at=Now() + timedelta(seconds=60)
    )
    assert stage() == 0
    LiveDelivery.objects.filter(delivery_id=first.delivery_id).update(due_at=Now() - timedelta(seconds=60))
    assert [ref.id for ref in claim(1)] == [first.delivery_id]
    assert [ref.id for ref in claim()] == [soon.delivery_id]


@pytest.mark.django_db
def test_a_started_delivery_brings_all_that_its_request_is_made_of(tenant: Tenant) -> None:
    make_delivery(tenant, metadata={"k": "v"})
    (started,) = start(claim())
    row = Delivery.objects.get()
    assert (started.delivery_id, started.attempt, started.event_id) == (row.id, 1, row.event_id)
    assert (started.event_type, (started.job or {})["state"]) == ("job.completed", "completed")
    assert all(blob is not None and blob.sealed for blob in (started.callback, started.result, started.metadata))
    assert started.error is None


@pytest.mark.django_db
def test_a_result_too_large_for_the_body_is_not_even_read(tenant: Tenant) -> None:
    make_delivery(tenant, result=b'"' + b"a" * BODY_LIMIT_BYTES + b'"')
    (started,) = start(claim())
    assert started.result is not None
    assert started.result.sealed is None


@pytest.mark.django_db
def test_the_same_message_twice_starts_one_delivery(tenant: Tenant) -> None:
    make_delivery(tenant)
    refs = claim()
    assert len(start(refs)) == 1
    assert start(refs) == []


@pytest.mark.django_db
def test_a_message_of_one_tenant_cannot_start_anothers_delivery(tenant: Tenant, other_tenant: Tenant) -> None:
    make_delivery(tenant)
    (ref,) = claim()
    assert start([replace(ref, tenant_id=other_tenant.id)]) == []
    assert LiveDelivery.objects.get().state == "dispatched"


@pytest.mark.django_db
def test_what_is_delivered_leaves_the_live_table_with_its_attempt(tenant: Tenant) -> None:
    make_delivery(tenant)
    (started,) = start(claim())
    report = record(DeliveryResult(started.ref, duration_ms=42, status=204, final_state="delivered"))
    assert report == DeliveryReport(1, ())
    assert not LiveDelivery.objects.exists()
    row = Delivery.objects.get()
    assert (row.final_state, row.finished_at is not None) == ("delivered", True)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.number, attempt.status, attempt.duration_ms, attempt.next_attempt_at) == (1, 204, 42, None)
    assert (attempt.delivery_id, attempt.event_id, attempt.job_id) == (row.id, row.event_id, row.job_id)


@pytest.mark.django_db
def test_a_failed_try_is_due_again_after_its_delay(tenant: Tenant) -> None:
    make_delivery(tenant)
    (started,) = start(claim())
    record(DeliveryResult(started.ref, duration_ms=5, error_class="timeout", delay_seconds=300))
    row = LiveDelivery.objects.get()
    assert (row.state, row.attempt, row.worker_id, row.lease_until) == ("waiting", 1, None, None)
    assert timedelta(seconds=295) < row.due_at - timezone.now() <= timedelta(seconds=300)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.error_class, attempt.status, attempt.next_attempt_at) == ("timeout", None, row.due_at)
    assert (stage(), claim()) == (0, [])
    LiveDelivery.objects.update(due_at=Now())
    assert stage() == 1
    (again,) = start(claim())
    assert (again.attempt, again.epoch, again.event_id) == (2, 2, started.event_id)


@pytest.mark.django_db
def test_a_group_of_mixed_ends_is_recorded_together(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant, tenant):
        make_delivery(owner)
    by_tenant = sorted(start(claim()), key=lambda started: (started.tenant_id != tenant.id, started.delivery_id))
    one, three, two = by_tenant
    report = record(
        DeliveryResult(one.ref, duration_ms=1, status=200, final_state="delivered"),
        DeliveryResult(two.ref, duration_ms=1, status=410, final_state="failed"),
        DeliveryResult(three.ref, duration_ms=1, status=500, delay_seconds=5),
    )
    assert report.recorded == 3
    assert [row.delivery_id for row in LiveDelivery.objects.all()] == [three.delivery_id]
    states = {row.id: row.final_state for row in Delivery.objects.all()}
    assert states == {one.delivery_id: "delivered", two.delivery_id: "failed", three.delivery_id: None}


@pytest.mark.django_db
def test_a_stale_worker_cannot_record_a_delivery_that_was_taken_back(tenant: Tenant) -> None:
    make_delivery(tenant)
    (stale,) = start(claim())
    end_leases()
    assert reap() == 1
    late = DeliveryResult(stale.ref, duration_ms=1, status=200, final_state="delivered")
    assert record(late).lost == (stale.ref,)
    (fresh,) = start(claim())
    assert record(late).lost == (stale.ref,)
    assert (DeliveryAttempt.objects.count(), LiveDelivery.objects.get().epoch) == (0, fresh.epoch)
    assert Delivery.objects.get().final_state is None


@pytest.mark.django_db
def test_a_result_that_is_recorded_twice_counts_once(tenant: Tenant) -> None:
    make_delivery(tenant)
    (started,) = start(claim())
    result = DeliveryResult(started.ref, duration_ms=1, status=500, delay_seconds=5)
    assert record(result).recorded == 1
    assert record(result).recorded == 0
    assert DeliveryAttempt.objects.count() == 1


@pytest.mark.django_db
def test_a_result_outlives_a_server_that_takes_no_writes_for_a_moment(tenant: Tenant) -> None:
    make_delivery(tenant)
    (delivery,) = start(claim())
    result = DeliveryResult(delivery.ref, 5, status=200, final_state="delivered")
    with pytest.raises(InternalError), dispatching.no_writes():
        record(result)
    assert record(result).recorded == 1


@pytest.mark.django_db
def test_a_row_that_cannot_be_stored_hurts_itself_only(tenant: Tenant) -> None:
    make_delivery(tenant)
    make_delivery(tenant)
    good, bad = start(claim())
    report = record(
        DeliveryResult(good.ref, duration_ms=1, status=200, final_state="delivered"),
        DeliveryResult(bad.ref, duration_ms=1, status=99999, final_state="delivered"),
    )
    assert (report.recorded, report.lost) == (1, (bad.ref,))
    assert LiveDelivery.objects.get().delivery_id == bad.delivery_id


@pytest.mark.django_db
def test_a_renewal_keeps_only_what_is_still_held(tenant: Tenant) -> None:
    make_delivery(tenant)
    (started,) = start(claim())
    old = LiveDelivery.objects.get().lease_until
    with as_role("worker"):
        assert renew_deliveries([started.ref], worker_id=WORKER, lease_seconds=60) == {started.ref}
        assert renew_deliveries([started.ref], worker_id=new_id(), lease_seconds=60) == frozenset()
    renewed = LiveDelivery.objects.get().lease_until
    assert renewed is not None
    assert old is not None
    assert renewed > old
    end_leases()
    reap()
    with as_role("worker"):
        assert renew_deliveries([started.ref], worker_id=WORKER, lease_seconds=60) == frozenset()


@pytest.mark.django_db
def test_a_released_delivery_is_due_at_once_and_its_try_is_not_counted(tenant: Tenant) -> None:
    make_delivery(tenant)
    (started,) = start(claim())
    with as_role("worker"):
        assert release_deliveries([started.ref], worker_id=new_id()) == 0
        assert release_deliveries([started.ref], worker_id=WORKER) == 1
    row = LiveDelivery.objects.get()
    assert (row.state, row.attempt, row.epoch) == ("pending", 0, 2)
    (again,) = start(claim())
    assert again.attempt == 1


@pytest.mark.django_db
def test_only_a_lease_that_is_over_is_reaped_and_a_lost_message_counts_no_try(tenant: Tenant) -> None:
    make_delivery(tenant)
    refs = claim()
    assert reap() == 0
    end_leases()
    assert reap() == 1
    assert LiveDelivery.objects.get().epoch == 2
    assert start(refs) == []
    (started,) = start(claim())
    assert started.attempt == 1
    assert held() == 1


@pytest.mark.django_db
def test_the_dispatcher_has_no_way_to_the_sealed_url() -> None:
    with as_role("dispatcher"), connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('blob', 'SELECT')")
        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 5), (2, 300), (3, 1800), (4, 7200), (5, 18000), (6, 36000), (7, 36000), (8, DAY), (9, DAY), (10, None)],
)
def test_the_schedule_ends_about_three_days_after_the_first_try(attempt: int, seconds: float | None) -> None:
    assert next_delivery_delay(attempt, 0.5) == seconds


def test_the_whole_schedule_takes_about_three_days() -> None:
    delays = [next_delivery_delay(attempt, 0.5) or 0 for attempt in range(1, 10)]
    assert 3 * DAY <= sum(delays) <= 3.5 * DAY


def test_jitter_moves_a_delay_by_a_tenth_at_most() -> None:
    assert (next_delivery_delay(2, 0.0), next_delivery_delay(2, 1.0)) == (270, 330)
    assert 270 <= (next_delivery_delay(2) or 0) <= 330


JOB = {"id": "job_1", "state": "discarded", "error": {"code": "http-500", "message": None}}


def event(**fields: Any) -> OpenedEvent:
    at = datetime(2027, 1, 1, 12, 0, 0, 5000, tzinfo=UTC)
    return OpenedEvent(**{"type": "job.completed", "at": at, "job": {"id": "job_1", "error": None}, **fields})


def test_the_body_has_the_result_and_the_metadata_as_they_were_stored() -> None:
    body = event_body(event(result=b'{"n":1.10}', metadata=b'{"k":[]}'))
    assert b'"result":{"n":1.10}' in body
    assert json.loads(body) == {
        "type": "job.completed",
        "timestamp": "2027-01-01T12:00:00.005Z",
        "data": {
            "job": {"id": "job_1", "error": None},
            "metadata": {"k": []},
            "seq": 1,
            "result_included": True,
            "result": {"n": 1.1},
        },
    }


def test_without_metadata_there_is_no_such_member() -> None:
    assert "metadata" not in json.loads(event_body(event(result=b"1")))["data"]


def test_the_opened_error_message_is_in_the_job() -> None:
    data = json.loads(event_body(event(type="job.discarded", job=JOB, error_message="no")))["data"]
    assert data["job"]["error"] == {"code": "http-500", "message": "no"}
    assert (data["result_included"], data["result"]) == (False, None)


@pytest.mark.parametrize("fields", [{"result": b'"' + b"a" * 20_000 + b'"'}, {"is_result_withheld": True}])
def test_a_larger_result_is_left_out_and_the_body_says_so(fields: dict[str, Any]) -> None:
    body = event_body(event(**fields))
    assert len(body) < BODY_LIMIT_BYTES
    data = json.loads(body)["data"]
    assert (data["result_included"], data["result"]) == (False, None)


def test_the_body_stays_under_the_limit_to_the_byte() -> None:
    room = BODY_LIMIT_BYTES - len(event_body(event(result=b'""')))
    fits = event_body(event(result=b'"' + b"a" * (room - 1) + b'"'))
    assert (len(fits), json.loads(fits)["data"]["result_included"]) == (BODY_LIMIT_BYTES - 1, True)
    over = event_body(event(result=b'"' + b"a" * room + b'"'))
    assert json.loads(over)["data"]["result_included"] is False


def test_a_very_long_error_message_is_cut() -> None:
    body = event_body(event(type="job.discarded", job=JOB, error_message="e" * 30_000))
    assert len(body) < BODY_LIMIT_BYTES
    assert json.loads(body)["data"]["job"]["error"]["message"] == "e" * 500 + "…"
