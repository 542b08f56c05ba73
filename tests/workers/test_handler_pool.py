"""The wiring of the prefork worker, without a broker: what a child sets up, and how many jobs a slot takes."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from jobservice.env import ConfigurationError
from jobservice.errors import Unavailable
from jobservice.ids import new_id
from workers import handler_pool
from workers.handler_pool import HandlerPool, decide_jobs_per_slot


@pytest.mark.parametrize(
    ("mean_ms", "expected"),
    [(None, 1), (0.001, 50), (1.9, 50), (2.0, 50), (2.5, 40), (33, 3), (100, 1), (101, 1), (60_000, 1)],
)
def test_a_slot_takes_what_it_runs_in_a_tenth_of_a_second(mean_ms: float | None, expected: int) -> None:
    assert decide_jobs_per_slot(mean_ms) == expected


class FakeExecutor:
    """Notes what it was given and how the process answered to TERM meanwhile."""

    given: list[Any]

    def __init__(self, seat: Any, **options: Any) -> None:
        self.worker_id = options["worker_id"]
        self.given = []

    def run_group(self, refs: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self.given.append((refs, self.worker_id()))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> HandlerPool:
    monkeypatch.setattr(handler_pool, "Executor", FakeExecutor)
    monkeypatch.setattr(handler_pool, "drop_inherited_connections", lambda: None)
    monkeypatch.setattr(handler_pool, "current_process", lambda: SimpleNamespace(index=1))
    return HandlerPool(processes=2, lease_seconds=5, stop_grace_seconds=1)


def test_handlers_run_in_a_pool_process_only(pool: HandlerPool) -> None:
    with pytest.raises(ConfigurationError, match="prefork"):
        pool.run_group([])


def test_a_child_takes_its_own_seat(pool: HandlerPool) -> None:
    pool._begin_child()
    assert (pool._board.pid(0), pool._board.pid(1)) == (0, os.getpid())


def test_a_group_runs_under_the_parents_id_and_is_not_ended_by_a_signal_to_the_whole_group(pool: HandlerPool) -> None:
    worker_id = new_id()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    pool._begin_child()
    pool._note_worker_id(worker_id)
    pool.run_group(["a", "b"])  # type: ignore[list-item]
    assert pool._executor is not None
    assert pool._executor.given == [(["a", "b"], worker_id)]  # type: ignore[attr-defined]
    assert signal.signal(signal.SIGTERM, before) == signal.default_int_handler


def test_a_message_that_comes_before_the_worker_is_registered_is_left_to_its_lease(
    pool: HandlerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_pool, "_PATIENCE_SECONDS", 0.01)
    pool._begin_child()
    with pytest.raises(Unavailable):
        pool.run_group([])


def test_a_stop_only_sets_a_flag(pool: HandlerPool) -> None:
    pool._ask_stop(sig="SIGTERM", how="Warm")
    assert pool._is_stop_asked
    assert not pool._board.is_stopping


def test_a_dead_child_is_replaced_at_once_in_celerys_own_thread(
    pool: HandlerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (pool._keeper, pool._watchdog, pool._presence):
        monkeypatch.setattr(part, "start", lambda: None)
    soon: list[Any] = []
    replace_dead = object()
    consumer = SimpleNamespace(
        hub=SimpleNamespace(call_soon=soon.append), pool=SimpleNamespace(maintain_pool=replace_dead)
    )
    pool._replace_dead()
    pool._begin_watching(sender=consumer)
    pool._replace_dead()
    assert soon == [replace_dead]


def test_a_beat_reports_the_run_times_of_the_children(pool: HandlerPool) -> None:
    assert pool._report().jobs_per_slot == 1
    pool._board.seat(0).note_run("echo", 4)
    report = pool._report()
    assert (report.slots, report.jobs_per_slot, report.run_times) == (2, 25, {"echo": 4})
