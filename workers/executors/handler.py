"""Runs one job in its Python handler and judges what came of it. Knows no lease, no board and no database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from jobservice import ids
from jobservice.handlers.job import Job, JobCancelled, PermanentFailure
from jobservice.handlers.registry import Handler, find_handler
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, OutcomeKind, StartedJob

MESSAGE_LIMIT = 4000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a run, before it is an outcome. `result` is UTF-8 JSON."""

    kind: OutcomeKind
    result: bytes | None = field(default=None, repr=False)
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=False)
    is_permanent: bool = False


class ResultRefused(Exception):
    """A result that cannot be stored; `code` is the error's code."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def run_handler(job: StartedJob, payload: bytes, *, is_cancelled: Callable[[], bool]) -> Verdict:
    """Call the job's handler with its payload. Never raises for what the handler does, `SystemExit` included.

    A run that left by `JobCancelled` is judged like a failure: who asked it to stop knows better.
    """
    handler = find_handler(job.handler or "")
    if handler is None:
        return Verdict(
            "failed",
            error_code="unknown-handler",
            error_message="No handler of this name is loaded in the worker; check JOBSERVICE_HANDLERS.",
        )
    try:
        return Verdict("completed", result=encode_result(_call(handler, job, payload, is_cancelled)))
    except ResultRefused as refusal:
        return Verdict("failed", error_code=refusal.code, error_message=str(refusal))
    except PermanentFailure as failure:
        return Verdict("failed", error_code="handler-error", error_message=describe(failure), is_permanent=True)
    except JobCancelled as failure:
        return Verdict("failed", error_code="cancelled", error_message=describe(failure), is_permanent=True)
    except BaseException as failure:  # noqa: BLE001 (sys.exit() in a handler must not end its neighbours' jobs)
        return Verdict("failed", error_code="handler-error", error_message=describe(failure))


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
    return sentence[:MESSAGE_LIMIT].encode("utf-8", "replace").decode()


def _call(handler: Handler, job: StartedJob, payload: bytes, is_cancelled: Callable[[], bool]) -> object:
    view = Job(
        id=ids.show_id(ids.JOB, job.job_id),
        type=job.type,
        attempt=job.attempt,
        epoch=job.epoch,
        tags=dict(job.tags),
        is_cancelled=is_cancelled,
    )
    return handler.run(json.loads(payload), view)
