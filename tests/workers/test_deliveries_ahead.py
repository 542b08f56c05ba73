"""Deliveries are claimed no further ahead than a worker starts in a moment; what was lost on its way does not count.

What becomes free while the workers are busy is claimed together.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.fleet import register_worker
from jobservice.jobs.models import Worker
from tests.factories import Tenant
from tests.roles import as_role
from tests.webhooks.test_deliveries import make_delivery, start, take_well
from workers import dispatcher as dispatching
from workers.dispatcher import Dispatcher

AHEAD = 4


class Publisher:
    """Keeps what nobody takes."""

    def __init__(self) -> None:
        self.refs: list[Ref] = []

    def publish(self, task: str, refs: Sequence[Ref], *, queue: str) -> bool:
        self.refs += refs
        return True


@pytest.fixture
def publisher(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    monkeypatch.setattr(dispatching, "DELIVERIES_AHEAD", AHEAD)
    # Longer than a slow machine takes for three rounds.
    monkeypatch.setattr(dispatching, "MOMENT_SECONDS", 600.0)
    with as_role("worker"):
        register_worker(pool="deliveries", slots=50)
    take_well(tenant)
    for _ in range(4 * AHEAD):
        make_delivery(tenant)
    return Publisher()


def rounds(publisher: Publisher) -> list[int]:
    """How many each of three rounds hands out, nobody starting any."""
    dispatcher = Dispatcher(publisher)  # type: ignore[arg-type]  # as much of one as is used
    with as_role("dispatcher"):
        return [dispatcher.dispatch_once() for _ in range(3)]


@pytest.mark.django_db
def test_no_more_is_claimed_until_what_was_claimed_has_started(publisher: Publisher) -> None:
    assert rounds(publisher) == [AHEAD, 0, 0]
    start(publisher.refs)
    assert rounds(publisher) == [AHEAD, 0, 0]


@pytest.mark.django_db
def test_what_was_lost_holds_up_the_others_for_a_moment_and_not_for_its_lease(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "MOMENT_SECONDS", -1.0)
    assert rounds(publisher) == [AHEAD, AHEAD, AHEAD]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slots", "is_large", "seconds", "expected"),
    [
        pytest.param(7, True, 60.0, 0, id="most slots have work, so what becomes free is claimed together"),
        pytest.param(7, True, -1.0, 1, id="but not for longer than a moment"),
        pytest.param(7, False, 60.0, 1, id="after a small claim nothing waits for others"),
        pytest.param(9, True, 60.0, 2, id="half of the slots are free"),
    ],
)
def test_a_backlog_is_claimed_in_large_groups(
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    slots: int,
    is_large: bool,
    seconds: float,
    expected: int,
) -> None:
    """Four of the tenant's deliveries are under way, which may have three quarters of the slots."""
    monkeypatch.setattr(dispatching, "GATHER_FROM", AHEAD if is_large else AHEAD + 1)
    monkeypatch.setattr(dispatching, "GATHER_DELIVERIES_SECONDS", seconds)
    Worker.objects.update(slots=slots)
    dispatcher = Dispatcher(publisher)  # type: ignore[arg-type]  # as much of one as is used
    with as_role("dispatcher"):
        assert dispatcher.dispatch_once() == AHEAD
    start(publisher.refs)
    with as_role("dispatcher"):
        assert dispatcher.dispatch_once() == expected
