"""`perform_job`: what a run in isolation tells, which is what the service would make of it."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.handlers import Job, PermanentFailure, RetryLater, handler, registry
from jobservice.testing import PayloadRefused, Performed

Perform = Any


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))


def fail(error: BaseException) -> Any:
    def run(payload: Any, job: Job) -> None:
        raise error

    return run


def test_a_result_is_what_json_makes_of_it(perform_job: Perform) -> None:
    done = perform_job(lambda payload, job: {"seen": payload, "pair": (1, 2)}, {"n": 1})
    assert done == Performed("completed", "completed", result={"seen": {"n": 1}, "pair": [1, 2]})


def test_a_handler_is_found_by_its_name_with_its_own_defaults(perform_job: Perform) -> None:
    @handler("trial.fail", max_attempts=2, retry={"strategy": "fixed", "initial_seconds": 7})
    def run(payload: Any, job: Job) -> None:
        raise ValueError(f"attempt {job.attempt} of {job.max_attempts}")

    first, last = perform_job("trial.fail"), perform_job(run, attempt=2)
    assert (first.outcome, first.state, first.delay_seconds) == ("failed", "retryable", 7)
    assert (last.outcome, last.state) == ("failed", "discarded")
    assert last.error_message == "ValueError: attempt 2 of 2"
    assert isinstance(last.exception, ValueError)


def test_a_built_in_handler_can_be_performed_too(perform_job: Perform) -> None:
    assert perform_job("echo", [1]).result == [1]


@pytest.mark.parametrize(
    ("ending", "outcome", "state", "delay"),
    [
        (PermanentFailure("no"), "failed", "discarded", 0),
        (RetryLater("busy", after_seconds=900), "failed", "retryable", 900),
        (SystemExit(1), "failed", "retryable", 5),
        (MemoryError(), "crashed", "available", 0),
    ],
)
def test_each_way_out_says_what_follows(
    perform_job: Perform, ending: BaseException, outcome: str, state: str, delay: float
) -> None:
    done = perform_job(fail(ending))
    assert (done.outcome, done.state, done.delay_seconds, done.exception) == (outcome, state, delay, ending)


def test_a_snooze_and_a_cancel_are_told(perform_job: Perform) -> None:
    snoozed = perform_job(lambda payload, job: job.snooze(60))
    assert (snoozed.outcome, snoozed.state, snoozed.delay_seconds) == ("snoozed", "scheduled", 60)
    cancelled = perform_job(lambda payload, job: job.cancel("enough"))
    assert (cancelled.outcome, cancelled.state, cancelled.error_message) == ("cancelled", "cancelled", "enough")


def test_a_run_may_be_told_to_stop_in_its_middle(perform_job: Perform) -> None:
    asked = iter([False, False, True])

    def count(payload: Any, job: Job) -> None:
        for number in range(9):
            job.stop_if_cancelled()
            job.progress(number)

    done = perform_job(count, cancelled=lambda: next(asked))
    assert (done.outcome, done.progress) == ("cancelled", ((0, None), (1, None)))


def test_all_that_was_reported_is_there_in_order(perform_job: Perform) -> None:
    def report(payload: Any, job: Job) -> None:
        job.log("begun")
        job.progress(50, "half")
        job.log("odd", level="warning")

    done = perform_job(report)
    assert done.log == (("info", "begun"), ("warning", "odd"))
    assert done.progress == ((50, "half"),)


def test_a_payload_that_the_service_would_refuse_is_refused(perform_job: Perform) -> None:
    handler("trial.count", payload_schema={"required": ["n"], "properties": {"n": {"type": "integer"}}})(
        lambda payload, job: payload["n"]
    )
    assert perform_job("trial.count", {"n": 1}).result == 1
    with pytest.raises(PayloadRefused, match="/payload/n"):
        perform_job("trial.count", {"n": "one"})


def test_a_result_that_is_no_json_fails_as_it_would(perform_job: Perform) -> None:
    assert perform_job(lambda payload, job: {1, 2}).error_code == "result-not-json"


def test_an_unknown_name_is_told(perform_job: Perform) -> None:
    with pytest.raises(LookupError, match="import the module"):
        perform_job("no.such.handler")


def test_whoever_stops_the_tests_is_heard(perform_job: Perform) -> None:
    with pytest.raises(KeyboardInterrupt):
        perform_job(fail(KeyboardInterrupt()))
