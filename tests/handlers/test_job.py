"""What a handler is given: its clock, its reports, and the ways out that no careless `except` closes."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from jobservice.handlers import Job, JobCancelled, JobSnoozed, PermanentFailure, RetryLater, RunEnded
from tests.stopwatch import Stopwatch


class Reports:
    """Notes what a run reports."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def progress(self, percent: float, message: str | None) -> None:
        self.said.append((percent, message))

    def log(self, text: str, level: str) -> None:
        self.said.append((level, text))


def make_job(**fields: Any) -> Job:
    return Job(**{"id": "job_1", "type": "trial", "attempt": 1, "epoch": 1, "tags": {}, **fields})


def test_what_is_reported_reaches_whoever_takes_it() -> None:
    reports = Reports()
    job = make_job(reports=reports)
    job.progress(0)
    job.progress(99.5, "nearly")
    job.log("begun")
    job.log("odd", level="warning")
    assert reports.said == [(0, None), (99.5, "nearly"), ("info", "begun"), ("warning", "odd")]


def test_a_job_of_a_test_needs_nobody_to_report_to() -> None:
    make_job().progress(1, "m")
    make_job().log("l")


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan, math.inf])
def test_a_percent_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        make_job().progress(percent)


@pytest.mark.parametrize(
    "call",
    [
        lambda job: job.progress("50"),
        lambda job: job.progress(True),
        lambda job: job.progress(50, 7),
        lambda job: job.log(b"bytes"),
        lambda job: job.snooze("60"),
    ],
)
def test_what_is_of_the_wrong_type_is_refused(call: Any) -> None:
    with pytest.raises(TypeError):
        call(make_job())


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        make_job().log("text", level="loud")  # type: ignore[arg-type]  # the fault that the test is about


@pytest.mark.parametrize("seconds", [-1, math.nan, 367 * 86_400])
def test_a_snooze_that_nobody_would_live_to_see_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        make_job().snooze(seconds)


def test_a_retry_in_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match="after_seconds"):
        RetryLater("busy", after_seconds=-1)


def test_only_failures_are_exceptions_that_a_handler_catches_by_the_way() -> None:
    assert issubclass(PermanentFailure, Exception)
    assert issubclass(RetryLater, Exception)
    for ending in (JobCancelled, JobSnoozed):
        assert issubclass(ending, RunEnded)
        assert not issubclass(ending, Exception)


def test_a_run_knows_how_much_of_its_time_is_left() -> None:
    job = make_job(timeout_seconds=30)
    assert 29 < job.remaining_seconds <= 30
    assert 29 < (job.deadline - datetime.now(UTC)).total_seconds() <= 30
    late = make_job(timeout_seconds=1, _began=time.monotonic() - 5)
    assert late.remaining_seconds == 0


def test_a_job_without_a_limit_has_all_the_time_there_is() -> None:
    assert make_job().remaining_seconds == math.inf
    assert make_job().deadline.year == 9999


def test_a_sleep_ends_at_once_when_the_run_should_end() -> None:
    asked = iter([False, False, True])
    with Stopwatch() as watch, pytest.raises(JobCancelled):
        make_job(is_cancelled=lambda: next(asked)).sleep(60)
    assert watch.moving_seconds < 10
