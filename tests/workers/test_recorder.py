"""The recorder: groups, patience while the database is away, and a thread that outlives bad items."""

from __future__ import annotations

import threading

import pytest
from django.db import DataError, InternalError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction

from workers import recorder as recorder_module
from workers.recorder import Recorder

PATIENCE_SECONDS = 60.0


class Ledger:
    """A `write` that notes its groups, fails on demand, and can be held up."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.faults: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.called = threading.Event()

    def write(self, items: list[int]) -> None:
        self.called.set()
        assert self.open.wait(PATIENCE_SECONDS)
        if self.faults:
            raise self.faults.pop(0)
        self.groups.append(items)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_RETRY_SECONDS", 0.01)


def test_things_that_end_close_together_are_written_together(ledger: Ledger) -> None:
    recorder: Recorder[int] = Recorder(ledger.write, linger_seconds=600)
    for item in range(5):
        recorder.add(item)
    assert recorder.flush(PATIENCE_SECONDS)
    assert ledger.groups == [[0, 1, 2, 3, 4]]
    assert recorder.stop(PATIENCE_SECONDS)


def test_a_lone_thing_is_written_without_being_asked(ledger: Ledger) -> None:
    recorder: Recorder[int] = Recorder(ledger.write)
    recorder.add(1)
    assert ledger.called.wait(PATIENCE_SECONDS)
    assert recorder.stop(PATIENCE_SECONDS)
    assert ledger.groups == [[1]]


def test_what_ends_during_a_write_goes_with_the_next(ledger: Ledger) -> None:
    recorder: Recorder[int] = Recorder(ledger.write, linger_seconds=0.001)
    ledger.open.clear()
    recorder.add(1)
    assert ledger.called.wait(PATIENCE_SECONDS)
    recorder.add(2)
    recorder.add(3)
    assert not recorder.flush(0.01)
    ledger.open.set()
    assert recorder.flush(PATIENCE_SECONDS)
    assert ledger.groups == [[1], [2, 3]]
    assert recorder.stop(PATIENCE_SECONDS)


def test_a_group_has_a_largest_size_and_keeps_the_order(ledger: Ledger) -> None:
    recorder: Recorder[int] = Recorder(ledger.write, linger_seconds=600, max_group=2)
    for item in range(5):
        recorder.add(item)
    assert recorder.flush(PATIENCE_SECONDS)
    assert [item for group in ledger.groups for item in group] == list(range(5))
    assert max(map(len, ledger.groups)) == 2
    assert recorder.stop(PATIENCE_SECONDS)


def test_an_outcome_is_kept_while_the_database_is_away(ledger: Ledger) -> None:
    ledger.faults = [OperationalError("away")] * 3
    recorder: Recorder[int] = Recorder(ledger.write, keep_seconds=60)
    recorder.add(1)
    assert recorder.flush(PATIENCE_SECONDS)
    assert ledger.groups == [[1]]
    assert recorder.stop(PATIENCE_SECONDS)


@pytest.mark.parametrize("cause", [ReadOnlySqlTransaction, IdleInTransactionSessionTimeout])
def test_a_server_that_takes_no_writes_for_a_moment_is_away(ledger: Ledger, cause: type[Exception]) -> None:
    fault = InternalError()
    fault.__cause__ = cause()
    ledger.faults = [fault]
    recorder: Recorder[int] = Recorder(ledger.write, keep_seconds=60)
    recorder.add(1)
    assert recorder.flush(5)
    assert ledger.groups == [[1]]
    assert recorder.stop(5)


def test_an_outcome_older_than_its_lease_is_dropped_and_the_next_is_written(ledger: Ledger) -> None:
    ledger.faults = [OperationalError("away")]
    recorder: Recorder[int] = Recorder(ledger.write, keep_seconds=0)
    recorder.add(1)
    assert recorder.flush(PATIENCE_SECONDS)
    recorder.add(2)
    assert recorder.flush(PATIENCE_SECONDS)
    assert ledger.groups == [[2]]
    assert recorder.stop(PATIENCE_SECONDS)


def test_an_item_that_cannot_be_written_does_not_end_the_thread(ledger: Ledger) -> None:
    ledger.faults = [DataError("bad"), ValueError("worse")]
    recorder: Recorder[int] = Recorder(ledger.write, keep_seconds=60)
    for item in range(3):
        recorder.add(item)
        assert recorder.flush(PATIENCE_SECONDS)
    assert ledger.groups == [[2]]
    assert recorder.stop(PATIENCE_SECONDS)


def test_a_stop_says_when_not_all_was_written(ledger: Ledger) -> None:
    recorder: Recorder[int] = Recorder(ledger.write)
    ledger.open.clear()
    recorder.add(1)
    assert ledger.called.wait(PATIENCE_SECONDS)
    assert not recorder.stop(0.01)
    ledger.open.set()
