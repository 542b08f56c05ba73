"""A worker's row: registered, beaten, drained, removed; and back after the database was away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from jobservice.jobs.fleet import beat_worker
from jobservice.jobs.models import Worker
from tests.races.conftest import committed  # noqa: F401 (a fixture)
from tests.workers.commits import every_connection_as_worker
from workers import presence as presence_module
from workers.presence import Presence, PresenceReport

PATIENCE_SECONDS = 60.0


class Beats:
    """The real `beat_worker`, counted, and failing on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real: Callable[..., bool] = beat_worker
        self._beaten = threading.Condition()
        self._count = 0
        self.faults: list[Exception] = []
        monkeypatch.setattr(presence_module, "beat_worker", self._beat)

    def wait(self, more: int = 2) -> None:
        """Wait until that many more beats are done; two, so that one has begun after the call."""
        with self._beaten:
            wanted = self._count + more
            assert self._beaten.wait_for(lambda: self._count >= wanted, PATIENCE_SECONDS)

    def _beat(self, *args: Any, **options: Any) -> bool:
        if self.faults:
            raise self.faults.pop()
        is_known = self._real(*args, **options)
        with self._beaten:
            self._count += 1
            self._beaten.notify_all()
        return is_known


@pytest.fixture
def beats(
    committed: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Beats]:
    with every_connection_as_worker():
        yield Beats(monkeypatch)


def _presence(**options: Any) -> Presence:
    report = PresenceReport(slots=3, busy_slots=2, jobs_per_slot=7, run_times={"echo": 0.5})
    return Presence("handlers", lambda: report, beat_seconds=0.01, **options)


def test_a_row_says_what_the_worker_can_take(beats: Beats) -> None:
    told: list[UUID] = []
    presence = _presence(on_registered=told.append)
    presence.start()
    beats.wait()
    row = Worker.objects.get()
    assert (row.id, row.pool, row.slots, row.jobs_per_slot) == (presence.worker_id, "handlers", 3, 7)
    assert (row.busy_slots, row.run_times, row.is_draining) == (2, {"echo": 0.5}, False)
    assert told == [row.id]
    presence.drain()
    beats.wait()
    assert Worker.objects.get().is_draining
    presence.stop(PATIENCE_SECONDS)
    assert not Worker.objects.exists()


def test_it_goes_on_after_the_database_was_away(beats: Beats) -> None:
    presence = _presence()
    presence.start()
    beats.wait()
    beats.faults = [OperationalError("away")] * 3
    beats.wait()
    assert Worker.objects.get().id == presence.worker_id
    presence.stop(PATIENCE_SECONDS)


def test_a_row_that_was_removed_is_made_again(beats: Beats) -> None:
    told: list[UUID] = []
    presence = _presence(on_registered=told.append)
    presence.start()
    beats.wait()
    Worker.objects.all().delete()
    beats.wait(3)
    assert [row.id for row in Worker.objects.all()] == [presence.worker_id]
    assert told == [told[0], presence.worker_id]
    presence.stop(PATIENCE_SECONDS)


def test_a_presence_that_never_started_can_be_stopped() -> None:
    _presence().stop()
