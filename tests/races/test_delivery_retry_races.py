"""A retry of a delivery against everything else that may happen to it at the same moment, with real commits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.db import connection, connections, transaction

from jobservice.ids import new_id
from jobservice.jobs.erase import erase_job
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from jobservice.webhooks.delivery_retry import retry_delivery
from jobservice.webhooks.models import Delivery, DeliveryAttempt, LiveDelivery
from tests.factories import Tenant
from tests.races.acting import acting, asking
from tests.roles import as_role
from tests.webhooks.test_deliveries import make_delivery

Race = Callable[..., list[Any]]
WORKER = new_id()
ROUNDS = 8


def start_all() -> list[Any]:
    with as_role("dispatcher"):
        refs = claim_deliveries(100, lease_seconds=30)
    with as_role("worker"):
        return start_deliveries(refs, worker_id=WORKER, lease_seconds=30)


def delivered(started: Any) -> DeliveryResult:
    return DeliveryResult(started.ref, duration_ms=1, status=200, final_state="delivered")


def make_ended(tenant: Tenant) -> UUID:
    make_delivery(tenant)
    (started,) = start_all()
    with as_role("worker"):
        record_deliveries([delivered(started)])
    return UUID(str(started.delivery_id))


def is_whole(delivery_id: UUID) -> bool:
    """Either over or live, never both or neither."""
    ended = Delivery.objects.filter(id=delivery_id, final_state__isnull=False).exists()
    return ended != LiveDelivery.objects.filter(delivery_id=delivery_id).exists()


def test_of_many_retries_at_once_one_opens_it_and_the_others_see_that(racing_tenant: Tenant, race: Race) -> None:
    delivery_id = make_ended(racing_tenant)
    refusals = race("web", *[asking(retry_delivery, racing_tenant.id, delivery_id)] * 5)
    assert refusals == [None] * 5
    live = LiveDelivery.objects.get(delivery_id=delivery_id)
    assert (live.state, live.epoch, live.attempt) == ("pending", 2, 1)
    assert is_whole(delivery_id)


def test_no_two_tries_have_one_epoch_however_often_it_is_retried_meanwhile(racing_tenant: Tenant, race: Race) -> None:
    """Between one retry and the next the delivery may be claimed, sent and over again."""
    delivery_id = make_ended(racing_tenant)
    epochs = [1]

    def work() -> None:
        started = start_all()
        epochs.extend(one.epoch for one in started)
        with as_role("worker"):
            record_deliveries([delivered(one) for one in started])

    for _ in range(ROUNDS):
        race("web", *[asking(retry_delivery, racing_tenant.id, delivery_id)] * 3, acting("owner", work))
        work()
        assert is_whole(delivery_id)
    assert len(set(epochs)) == len(epochs) > ROUNDS
    numbers = list(DeliveryAttempt.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(epochs) + 1))


def test_a_retry_and_the_record_of_a_try_leave_one_of_both(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        make_delivery(racing_tenant)
        (started,) = start_all()
        race(
            "web",
            asking(retry_delivery, racing_tenant.id, started.delivery_id),
            acting("worker", record_deliveries, [delivered(started)]),
        )
        assert is_whole(started.delivery_id)
        LiveDelivery.objects.all().delete()


def test_a_retry_waits_for_the_try_that_is_being_recorded_and_sends_again(racing_tenant: Tenant) -> None:
    make_delivery(racing_tenant)
    (started,) = start_all()

    def retry() -> type[Exception] | None:
        try:
            return asking(retry_delivery, racing_tenant.id, started.delivery_id)()
        finally:
            connections.close_all()

    with as_role("web"), ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            with as_role("worker"):
                record_deliveries([delivered(started)])
            asked = threads.submit(retry)
            await_lock(asked)
        assert asked.result(timeout=30) is None
    assert LiveDelivery.objects.get().epoch == started.epoch + 1


def await_lock(asked: Future[Any]) -> None:
    """Until the other waits for a lock of ours, or has ended without."""
    with connection.cursor() as cursor:
        while not asked.done():
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return


def test_a_retry_and_an_erasure_leave_nothing_behind(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        delivery_id = make_ended(racing_tenant)
        job_id = Delivery.objects.get(id=delivery_id).job_id
        assert job_id is not None
        race(
            "web",
            asking(retry_delivery, racing_tenant.id, delivery_id),
            asking(erase_job, racing_tenant.id, job_id),
        )
        assert not Delivery.objects.exists()
        assert not LiveDelivery.objects.exists()
