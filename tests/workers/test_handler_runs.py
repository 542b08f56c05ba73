"""One run of a handler: what it returned or raised, judged."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from jobservice.handlers import Job, JobCancelled, PermanentFailure, RetryLater, registry
from jobservice.handlers.registry import Handler
from jobservice.ids import JOB, new_id, show_id
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, RetryPolicy, StartedJob, Verdict
from workers.executors.handler import MESSAGE_LIMIT, encode_result, run_handler


def make_started(**fields: Any) -> StartedJob:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "tenant_id": new_id(),
        "job_id": new_id(),
        "epoch": 3,
        "type": "trial",
        "executor": "handler",
        "handler": "trial",
        "queue": "default",
        "priority": 0,
        "attempt": 2,
        "max_attempts": 5,
        "crash_count": 0,
        "timeout_seconds": 60,
        "retry": RetryPolicy(),
        "tags": {"team": "blue"},
        "created_at": now,
        "run_at": now,
        "started_at": now,
        "traceparent": None,
        "payload_id": new_id(),
        "sealed_payload": b"",
    }
    return StartedJob(**{**values, **fields})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run(function, payload=b"null")` is the verdict on a handler of that body."""

    def call(function: Any, payload: bytes = b"null", *, job: StartedJob | None = None) -> Verdict:
        monkeypatch.setattr(registry, "_handlers", {"trial": Handler("trial", function)})
        return run_handler(job or make_started(), payload, is_cancelled=lambda: True)

    return call


def _raise(error: BaseException) -> Any:
    raise error


def test_a_result_is_kept_as_compact_json(run: Any) -> None:
    verdict = run(lambda payload, job: {"é": [payload["a"], None]}, b'{"a": 1.5}')
    assert (verdict.kind, verdict.result) == ("completed", '{"é":[1.5,null]}'.encode())


def test_a_handler_sees_its_job(run: Any) -> None:
    seen: list[Job] = []
    started = make_started()
    run(lambda payload, job: seen.append(job), job=started)
    (job,) = seen
    assert (job.id, job.type, job.attempt, job.epoch) == (show_id(JOB, started.job_id), "trial", 2, 3)
    assert (job.tags, job.cancelled) == ({"team": "blue"}, True)
    assert (job.max_attempts, job.timeout_seconds) == (5, 60)
    assert 50 < job.remaining_seconds <= 60


def test_an_exception_is_a_failure_that_is_tried_again(run: Any) -> None:
    verdict = run(lambda payload, job: _raise(ValueError("no such invoice")))
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == ("failed", "handler-error", False)
    assert verdict.error_message == "ValueError: no such invoice"


@pytest.mark.parametrize(
    ("error", "name"), [(SystemExit(4), "SystemExit: 4"), (KeyboardInterrupt(), "KeyboardInterrupt")]
)
def test_a_handler_that_wants_to_end_the_process_only_fails_its_job(run: Any, error: BaseException, name: str) -> None:
    verdict = run(lambda payload, job: _raise(error))
    assert (verdict.kind, verdict.error_code, verdict.error_message) == ("failed", "handler-error", name)


def test_a_permanent_failure_is_not_tried_again(run: Any) -> None:
    verdict = run(lambda payload, job: _raise(PermanentFailure("gone")))
    assert (verdict.error_code, verdict.is_permanent) == ("handler-error", True)


def test_a_run_that_heeded_its_cancellation_is_not_tried_again(run: Any) -> None:
    verdict = run(lambda payload, job: _raise(JobCancelled("asked")))
    assert (verdict.kind, verdict.error_code) == ("cancelled", None)


def test_a_handler_may_cancel_its_own_job_and_say_why(run: Any) -> None:
    verdict = run(lambda payload, job: job.cancel("the customer is gone"))
    assert (verdict.kind, verdict.error_code, verdict.error_message) == ("cancelled", None, "the customer is gone")


def test_a_snooze_is_neither_a_failure_nor_an_end(run: Any) -> None:
    verdict = run(lambda payload, job: job.snooze(30))
    assert (verdict.kind, verdict.snooze_seconds, verdict.error_code) == ("snoozed", 30, None)


def test_a_failure_may_say_when_it_is_worth_another_try(run: Any) -> None:
    verdict = run(lambda payload, job: _raise(RetryLater("busy", after_seconds=90)))
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == ("failed", "handler-error", False)
    assert (verdict.retry_after_seconds, verdict.error_message) == (90, "RetryLater: busy")


@pytest.mark.parametrize("leave", [lambda job: job.cancel(), lambda job: job.snooze(1), lambda job: job.sleep(9)])
def test_a_handler_that_catches_exceptions_does_not_catch_its_own_end(run: Any, leave: Any) -> None:
    def careless(payload: Any, job: Job) -> str:
        try:
            leave(job)
        except Exception:  # noqa: BLE001 (what careless handlers do)
            return "caught"
        return "not left"

    assert run(careless).kind in ("cancelled", "snoozed")


def test_too_little_memory_is_a_crash_and_not_a_failure(run: Any) -> None:
    verdict = run(lambda payload, job: _raise(MemoryError()))
    assert (verdict.kind, verdict.error_code) == ("crashed", "crashed")


def test_an_unknown_handler_is_tried_again_for_it_may_be_deployed_later(run: Any) -> None:
    verdict = run(lambda payload, job: None, job=make_started(handler="elsewhere"))
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == ("failed", "unknown-handler", False)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        object(),
        float("nan"),
        [float("inf")],
        {"a": float("-inf")},
        "\ud800",
        {(1, 2): 3},
        10 ** (sys.get_int_max_str_digits() + 1),
        _nested(100_000),
    ],
    ids=["set", "bytes", "object", "nan", "inf", "minus-inf", "surrogate", "tuple-key", "huge-int", "deep"],
)
def test_a_result_that_is_no_json_fails_the_job_not_the_worker(run: Any, value: Any) -> None:
    verdict = run(lambda payload, job: value)
    assert (verdict.kind, verdict.error_code) == ("failed", "result-not-json")


def test_a_result_may_be_just_as_large_as_the_limit(run: Any) -> None:
    assert len(encode_result("x" * (RESULT_LIMIT_BYTES - 2))) == RESULT_LIMIT_BYTES
    verdict = run(lambda payload, job: "x" * (RESULT_LIMIT_BYTES - 1))
    assert (verdict.kind, verdict.error_code, verdict.result) == ("failed", "result-too-large", None)


class _Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize("error", [ValueError("x" * 1_000_000), ValueError("\ud800\x00"), _Unreadable()])
def test_an_error_text_is_always_one_that_can_be_stored(run: Any, error: Exception) -> None:
    message = run(lambda payload, job: _raise(error)).error_message
    assert len(message) <= MESSAGE_LIMIT
    assert message.encode().startswith(type(error).__name__.encode())
