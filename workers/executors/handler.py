"""Runs one job in its Python handler and judges what came of it. Knows no lease, no board and no database."""

from __future__ import annotations

import json
from collections.abc import Callable

from jobservice import ids
from jobservice.handlers.job import Job, JobCancelled, JobSnoozed, PermanentFailure, Reports, RetryLater
from jobservice.handlers.registry import find_handler
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, StartedJob, Verdict

MESSAGE_LIMIT = 4000


class ResultRefused(Exception):
    """A result that cannot be stored; `code` is the error's code."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def run_handler(
    job: StartedJob, payload: bytes, *, is_cancelled: Callable[[], bool], reports: Reports | None = None
) -> Verdict:
    """Call the job's handler with its payload. Never raises for what the handler does, `SystemExit` included.

    A run that left by `JobCancelled` is cancelled, unless who asked it to stop knows better.
    """
    handler = find_handler(job.handler or "")
    if handler is None:
        return Verdict(
            "failed",
            error_code="unknown-handler",
            error_message="No handler of this name is loaded in the worker; check JOBSERVICE_HANDLERS.",
        )
    try:
        view = make_view(job, is_cancelled=is_cancelled, reports=reports)
        return Verdict("completed", result=encode_result(handler.run(json.loads(payload), view)))
    except BaseException as ended:  # noqa: BLE001 (sys.exit() in a handler must not end its neighbours' jobs)
        return judge_ending(ended)


def judge_ending(ended: BaseException) -> Verdict:
    """The verdict on a run that left by an exception."""
    match ended:
        case ResultRefused():
            return Verdict("failed", error_code=ended.code, error_message=str(ended))
        case JobCancelled():
            reason = None if ended.reason is None else storable(str(ended.reason))
            return Verdict("cancelled", error_message=reason)
        case JobSnoozed():
            return Verdict("snoozed", snooze_seconds=ended.seconds)
        case MemoryError():
            # Whoever had too little memory to go on is as good as killed for it: a crash, but one that hurts nobody.
            return Verdict("crashed", error_code="crashed", error_message="The run ran out of memory.")
    return Verdict(
        "failed",
        error_code="handler-error",
        error_message=describe(ended),
        is_permanent=isinstance(ended, PermanentFailure),
        retry_after_seconds=ended.after_seconds if isinstance(ended, RetryLater) else None,
    )


def encode_result(value: object) -> bytes:
    """A handler's result as compact UTF-8 JSON. Raises `ResultRefused` for what is no JSON, or over 256 KiB of it."""
    try:
        # ensure_ascii=False makes the encoding to UTF-8 refuse a lone surrogate, which no JSON reader takes.
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultRefused("result-not-json", f"The result is not JSON: {describe(error)}") from None
    if len(encoded) > RESULT_LIMIT_BYTES:
        raise ResultRefused(
            "result-too-large", f"The result is {len(encoded)} bytes of JSON; at most {RESULT_LIMIT_BYTES} are kept."
        )
    return encoded


def describe(error: BaseException) -> str:
    """`ExceptionClass: text`, cut to `MESSAGE_LIMIT` characters and always encodable as UTF-8."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (the operator's __str__ may do anything)
        text = "(its text cannot be read)"
    sentence = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return storable(sentence)


def storable(text: str) -> str:
    """The text, cut to `MESSAGE_LIMIT` characters and always encodable as UTF-8."""
    return text[:MESSAGE_LIMIT].encode("utf-8", "replace").decode()


def make_view(job: StartedJob, *, is_cancelled: Callable[[], bool], reports: Reports | None) -> Job:
    """What the handler is given of its job."""
    return Job(
        id=ids.show_id(ids.JOB, job.job_id),
        type=job.type,
        attempt=job.attempt,
        epoch=job.epoch,
        tags=dict(job.tags),
        max_attempts=job.max_attempts,
        timeout_seconds=job.timeout_seconds,
        is_cancelled=is_cancelled,
        reports=reports,
    )
