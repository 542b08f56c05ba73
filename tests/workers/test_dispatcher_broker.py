"""A dispatcher whose broker is in trouble tries once, gives back what it has not sent, and goes on with the rest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.fleet import register_worker
from jobservice.jobs.models import LiveJob
from tests.factories import Tenant, make_job
from tests.roles import as_role
from workers import dispatcher as dispatching
from workers.dispatcher import Dispatcher

JOBS = 5


class DeadPublisher:
    """Nobody knows what became of its messages, after some seconds each, until it is well again."""

    def __init__(self) -> None:
        self.tried: list[Ref] = []
        self.tries = 0
        self.is_well = False

    def publish(self, task: str, refs: Sequence[Ref], *, queue: str) -> bool:
        self.tried += refs
        self.tries += 1
        return self.is_well


@pytest.mark.django_db
def test_a_broker_in_trouble_is_tried_once_a_round(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "RECOVER_SECONDS", 0.0)
    with as_role("worker"):
        register_worker(pool="handlers", slots=JOBS)
    for _ in range(JOBS):
        make_job(tenant)
    publisher = DeadPublisher()
    dispatcher = Dispatcher(publisher)  # type: ignore[arg-type]  # as much of one as is used
    with as_role("dispatcher"):
        assert dispatcher.dispatch_once() == 1
    assert publisher.tries == 1
    states = dict(LiveJob.objects.values_list("job_id", "state"))
    # The first may have arrived all the same; of the others nobody has heard.
    assert {job_id for job_id, state in states.items() if state == "dispatched"} == {ref.id for ref in publisher.tried}
    assert sorted(states.values()) == ["available"] * (JOBS - 1) + ["dispatched"]
    # From then on it claims one at a time, to see whether the broker is well: what is claimed in vain used its turn.
    with as_role("dispatcher"):
        assert dispatcher.dispatch_once() == 1
        assert publisher.tries == 2
        publisher.is_well = True
        assert dispatcher.dispatch_once() == 1
        assert set(LiveJob.objects.filter(state="available").values_list("epoch", flat=True)) == {2}
        assert dispatcher.dispatch_once() == 2
