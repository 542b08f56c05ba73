"""The reports of a run on their way to the database: gathered, at most one write a second, never older over newer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from jobservice.errors import SealingError
from jobservice.ids import new_id
from jobservice.jobs.reports import ReportingRun
from workers import reporter as reporter_module
from workers.reporter import Reporter, RunReports

pytestmark = pytest.mark.deep

RUN = ReportingRun(new_id(), new_id(), 1, new_id())


class Writes:
    """Stands for the database: notes what is written and when; `faults` are raised first, `is_held` answers."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.written: list[tuple[Any, Any]] = []
        self.faults: list[Exception] = []
        self.is_held = True
        self.gate: threading.Event | None = None

    def __call__(self, run: ReportingRun, *, progress: Any, log: Any) -> bool:
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.faults:
            raise self.faults.pop(0)
        self.at.append(time.monotonic())
        self.written.append((progress and progress.percent, log and log.count(b"message")))
        return self.is_held

    def await_count(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.written) < count:
            assert time.monotonic() < deadline, self.written
            time.sleep(0.01)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    made = Writes()
    monkeypatch.setattr(reporter_module, "write_report", made)
    monkeypatch.setattr(reporter_module, "connection", _NoConnection())
    return made


class _NoConnection:
    def close_if_unusable_or_obsolete(self) -> None: ...
    def close(self) -> None: ...


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    made = Reporter()
    yield made
    made.stop(30)


def test_a_job_that_reports_nothing_starts_no_thread_and_writes_nothing(reporter: Reporter, writes: Writes) -> None:
    before = set(threading.enumerate())
    reports = reporter.open(RUN)
    assert (set(threading.enumerate()) - before, reports.are_used) == (set(), False)


def test_many_words_are_few_writes_and_the_last_one_is_written(reporter: Reporter, writes: Writes) -> None:
    reports = reporter.open(RUN)
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        reports.progress(len(writes.written), None)
        reports.log("line", "info")
        time.sleep(0.001)
    reports.progress(100, None)
    writes.await_count(3)
    deadline = time.monotonic() + 30
    while writes.written[-1][0] != 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    gaps = [later - earlier for earlier, later in zip(writes.at, writes.at[1:], strict=False)]
    assert min(gaps) >= 0.99
    assert len(writes.at) <= (writes.at[-1] - writes.at[0]) / 0.99 + 1


def test_only_what_is_new_is_written(writes: Writes) -> None:
    reports = RunReports(RUN, lambda _: None)
    reports.progress(1, None)
    reports.write()
    reports.log("line", "info")
    reports.write()
    reports.write()
    assert writes.written == [(1, None), (None, 1)]


def test_what_a_thread_left_behind_says_after_the_run_is_not_heard(writes: Writes) -> None:
    reports = RunReports(RUN, lambda _: None)
    reports.progress(1, None)
    reports.end()
    reports.progress(2, None)
    reports.log("late", "info")
    reports.write()
    assert writes.written == [(1, None)]


def test_a_database_that_is_away_loses_nothing(reporter: Reporter, writes: Writes) -> None:
    writes.faults.append(OperationalError("away"))
    reports = reporter.open(RUN)
    reports.progress(5, None)
    reports.log("line", "info")
    writes.await_count(1)
    assert writes.written == [(5, 1)]


def test_what_cannot_be_sealed_is_dropped_and_hurts_no_outcome(writes: Writes) -> None:
    writes.faults.append(SealingError("no keys"))
    reports = RunReports(RUN, lambda _: None)
    reports.progress(5, None)
    reports.write()
    assert writes.written == []


def test_a_run_that_was_lost_reports_no_more(writes: Writes) -> None:
    writes.is_held = False
    reports = RunReports(RUN, lambda _: None)
    for percent in (1, 2, 3):
        reports.progress(percent, None)
        reports.write()
    assert writes.written == [(1, None)]


def test_the_last_write_waits_for_the_one_under_way(writes: Writes) -> None:
    reports = RunReports(RUN, lambda _: None)
    writes.gate = threading.Event()
    reports.progress(1, None)
    earlier = threading.Thread(target=reports.write)
    earlier.start()
    while reports._is_progress_new:
        time.sleep(0.001)
    reports.progress(2, None)
    later = threading.Thread(target=reports.write)
    later.start()
    time.sleep(0.05)
    assert writes.written == []
    writes.gate.set()
    for thread in (earlier, later):
        thread.join(30)
    assert [percent for percent, _ in writes.written] == [1, 2]
