"""The built-in handlers, called as the worker calls them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobservice.handlers import Job, JobCancelled, PermanentFailure
from jobservice.handlers.registry import find_handler
from tests.stopwatch import Stopwatch


def _job(*, attempt: int = 1, is_cancelled: bool = False) -> Job:
    return Job(id="job_x", type="t", attempt=attempt, epoch=attempt, tags={}, is_cancelled=lambda: is_cancelled)


def _run(name: str, payload: Any, job: Job | None = None) -> Any:
    found = find_handler(name)
    assert found is not None
    return found.run(payload, job or _job())


@pytest.mark.parametrize("payload", [None, 1, "x", [1, {"a": None}], {"b": [True]}])
def test_echo_returns_its_payload(payload: Any) -> None:
    assert _run("echo", payload) == payload


def test_sleep_sleeps_and_says_how_long() -> None:
    began = time.monotonic()
    assert _run("sleep", {"seconds": 0.06}) == {"seconds": 0.06}
    assert time.monotonic() - began >= 0.06


def test_sleep_wakes_when_it_is_cancelled() -> None:
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    job = Job(id="job_x", type="sleep", attempt=1, epoch=1, tags={}, is_cancelled=is_cancelled)
    with Stopwatch() as watch, pytest.raises(JobCancelled):
        _run("sleep", {"seconds": 3600}, job)
    assert watch.moving_seconds < 5


def test_a_job_cancelled_before_it_sleeps_does_not_sleep_at_all() -> None:
    with pytest.raises(JobCancelled):
        _run("sleep", {"seconds": 0}, _job(is_cancelled=True))


@pytest.mark.parametrize("attempt", [1, 2])
def test_fail_fails_that_many_attempts(attempt: int) -> None:
    with pytest.raises(RuntimeError, match=f"attempt {attempt} of 2"):
        _run("fail", {"times": 2}, _job(attempt=attempt))


def test_fail_succeeds_after_them() -> None:
    assert _run("fail", {"times": 2}, _job(attempt=3)) == {"attempts": 3}
    assert _run("fail", {"times": 0}) == {"attempts": 1}


def test_fail_fails_for_good_when_asked() -> None:
    with pytest.raises(PermanentFailure):
        _run("fail", {"times": 1, "permanent": True})


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("sleep", None),
        ("sleep", {}),
        ("sleep", {"seconds": "1"}),
        ("sleep", {"seconds": True}),
        ("sleep", {"seconds": -1}),
        ("sleep", {"seconds": float("nan")}),
        ("sleep", {"seconds": float("inf")}),
        ("sleep", {"seconds": 86401}),
        ("sleep", {"seconds": 1, "more": 2}),
        ("fail", [1]),
        ("fail", {"times": -1}),
        ("fail", {"times": 1.0}),
        ("fail", {"times": True}),
        ("fail", {"times": 1, "permanent": 1}),
        ("fail", {"time": 1}),
    ],
)
def test_a_bad_payload_is_a_permanent_failure_that_says_what_it_must_be(name: str, payload: Any) -> None:
    with pytest.raises(PermanentFailure, match="the payload"):
        _run(name, payload)
