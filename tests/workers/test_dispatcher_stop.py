"""A dispatcher that is asked to stop in the middle of a round gives back all that it claimed and has not published."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.fleet import register_worker
from jobservice.jobs.models import LiveJob
from jobservice.webhooks.deliveries import return_deliveries
from jobservice.webhooks.models import LiveDelivery
from tests.factories import Tenant, make_job
from tests.roles import as_role
from tests.webhooks.test_deliveries import claim, make_delivery, start, take_well
from workers import dispatcher as dispatching
from workers.dispatcher import Dispatcher


class StoppingPublisher:
    """Publishes, and is there when the stop comes: while its first message is on the way."""

    def __init__(self) -> None:
        self.published: list[Ref] = []
        self.dispatcher: Dispatcher | None = None

    def publish(self, task: str, refs: Sequence[Ref], *, queue: str) -> bool:
        assert self.dispatcher is not None
        self.published += refs
        self.dispatcher.stop()
        return True


@pytest.fixture
def workers_of_every_pool(db: None) -> None:
    with as_role("worker"):
        for pool in ("handlers", "egress", "deliveries"):
            register_worker(pool=pool, slots=10)


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> StoppingPublisher:
    # Two to a message, so that there is a second one.
    monkeypatch.setattr(dispatching, "group_for_egress", lambda refs: [refs[n : n + 2] for n in range(0, len(refs), 2)])
    publisher = StoppingPublisher()
    publisher.dispatcher = Dispatcher(publisher)  # type: ignore[arg-type]  # as much of one as is used
    return publisher


def dispatch(publisher: StoppingPublisher) -> int:
    assert publisher.dispatcher is not None
    with as_role("dispatcher"):
        return publisher.dispatcher.dispatch_once()


@pytest.mark.usefixtures("workers_of_every_pool")
def test_unpublished_jobs_are_available_again(tenant: Tenant, publisher: StoppingPublisher) -> None:
    for _ in range(5):
        make_job(tenant)
    assert dispatch(publisher) == len(publisher.published)
    states = dict(LiveJob.objects.values_list("job_id", "state"))
    sent = {ref.id for ref in publisher.published}
    assert sent
    assert {job_id for job_id, state in states.items() if state == "dispatched"} == sent
    assert {state for job_id, state in states.items() if job_id not in sent} == {"available"}


@pytest.mark.usefixtures("workers_of_every_pool")
def test_unpublished_callbacks_are_due_again(tenant: Tenant, publisher: StoppingPublisher) -> None:
    take_well(tenant)
    for _ in range(5):
        make_delivery(tenant)
    assert dispatch(publisher) == 2
    sent = {ref.id for ref in publisher.published}
    waiting = LiveDelivery.objects.exclude(delivery_id__in=sent)
    assert len(sent) == 2
    assert {(row.state, row.attempt, row.lease_until) for row in waiting} == {("pending", 0, None)}
    # The message of a claim that was given back starts nothing any more.
    again = claim()
    assert {ref.id for ref in again} == {row.delivery_id for row in waiting}
    assert {ref.epoch for ref in again} == {3}


@pytest.mark.django_db
def test_only_a_claim_that_nobody_started_can_be_given_back(tenant: Tenant) -> None:
    make_delivery(tenant)
    refs = claim()
    start(refs)
    with as_role("dispatcher"):
        assert return_deliveries(refs) == 0
        assert return_deliveries([]) == 0
