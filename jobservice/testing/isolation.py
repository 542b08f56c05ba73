"""One run of a handler without a service around it: no database, no worker, no clock that ends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobservice.field_checks import compact_json
from jobservice.handlers.job import LogLevel
from jobservice.handlers.registry import Handler, HandlerFunction, RetrySettings, find_handler, find_handler_of
from jobservice.ids import new_id
from jobservice.jobs.outcomes import NextState, Outcome, OutcomeKind, RetryPolicy, StartedJob, Verdict, decide_next
from jobservice.jobs.schema_compiling import compile_schema
from jobservice.jobs.schema_faults import find_faults
from jobservice.jobs.schema_meter import Meter
from workers.executors.handler import encode_result, judge_ending, make_view

_CHECK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Performed:
    """What came of a run, and what the service would do next.

    `outcome` is what the attempt would say; `state` is where the job would be then, due in `delay_seconds` (jitter left
    out). `result` is read back from its JSON. `exception` is what the handler raised. `progress` and `log` are all that
    it reported, in order.
    """

    outcome: OutcomeKind
    state: NextState
    delay_seconds: float = 0.0
    result: Any = None
    error_code: str | None = None
    error_message: str | None = None
    exception: BaseException | None = None
    progress: tuple[tuple[float, str | None], ...] = ()
    log: tuple[tuple[LogLevel, str], ...] = ()


class PayloadRefused(AssertionError):
    """The service would not have accepted a job with this payload."""


@dataclass(slots=True)
class _Reports:
    progress_said: list[tuple[float, str | None]] = field(default_factory=list)
    log_said: list[tuple[LogLevel, str]] = field(default_factory=list)

    def progress(self, percent: float, message: str | None) -> None:
        self.progress_said.append((percent, message))

    def log(self, text: str, level: LogLevel) -> None:
        self.log_said.append((level, text))


def perform_job(
    handler: str | HandlerFunction,
    payload: Any = None,
    *,
    attempt: int = 1,
    max_attempts: int | None = None,
    timeout_seconds: int | None = None,
    retry: RetrySettings | None = None,
    tags: Mapping[str, str] | None = None,
    cancelled: bool | Callable[[], bool] = False,
) -> Performed:
    """Run a handler, by its name or itself, as a worker would, and say what came of it.

    The payload goes through JSON and must keep to the handler's schema; the result must be JSON of at most 256 KiB. The
    options are those of the job; without them the handler's own count. `cancelled` is what `job.cancelled` says.
    Nothing ends a run that does not end itself. Raises `LookupError` for a name no handler has, and `PayloadRefused`.
    """
    found = _find(handler)
    sent = _check_payload(found, payload)
    job = _make_job(found, attempt, max_attempts, timeout_seconds, retry, tags or {})
    reports = _Reports()
    is_cancelled = cancelled if callable(cancelled) else lambda: cancelled
    view = make_view(job, is_cancelled=is_cancelled, reports=reports)
    verdict, exception = _run(found, sent, view)
    outcome = Outcome(
        job=job,
        kind=verdict.kind,
        worker_id=new_id(),
        started_at=job.started_at,
        duration_seconds=0.0,
        is_permanent=verdict.is_permanent,
        retry_after_seconds=verdict.retry_after_seconds,
        snooze_seconds=verdict.snooze_seconds,
    )
    decision = decide_next(outcome, now=job.started_at, jitter=0.5)
    return Performed(
        outcome=verdict.kind,
        state=decision.state,
        delay_seconds=decision.delay_seconds,
        result=None if verdict.result is None else json.loads(verdict.result),
        error_code=verdict.error_code,
        error_message=verdict.error_message,
        exception=exception,
        progress=tuple(reports.progress_said),
        log=tuple(reports.log_said),
    )


def _find(handler: str | HandlerFunction) -> Handler:
    if not isinstance(handler, str):
        return find_handler_of(handler) or Handler("unregistered", handler)
    found = find_handler(handler)
    if found is None:
        raise LookupError(f"There is no handler {handler!r}; import the module that defines it.")
    return found


def _check_payload(handler: Handler, payload: Any) -> bytes:
    sent = compact_json(payload)
    if handler.payload_schema is not None:
        engine, meter = compile_schema(handler.payload_schema), Meter(seconds=_CHECK_SECONDS)
        if not engine.fits(json.loads(sent), meter=meter):
            faults = find_faults(engine, json.loads(sent), pointer="/payload", meter=meter)
            raise PayloadRefused("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
    return sent


def _make_job(
    handler: Handler,
    attempt: int,
    max_attempts: int | None,
    timeout_seconds: int | None,
    retry: RetrySettings | None,
    tags: Mapping[str, str],
) -> StartedJob:
    now = datetime.now(UTC)
    return StartedJob(
        tenant_id=new_id(),
        job_id=new_id(),
        epoch=attempt,
        type=handler.name,
        executor="handler",
        handler=handler.name,
        queue=handler.queue or "default",
        priority=handler.priority or 0,
        attempt=attempt,
        max_attempts=max_attempts or handler.max_attempts or 20,
        crash_count=0,
        timeout_seconds=timeout_seconds or handler.timeout_seconds or 60,
        retry=_policy({**(handler.retry or {}), **(retry or {})}),
        tags=dict(tags),
        created_at=now,
        run_at=now,
        started_at=now,
        traceparent=None,
        payload_id=new_id(),
        sealed_payload=b"",
    )


def _policy(settings: dict[str, Any]) -> RetryPolicy:
    schedule = settings.get("schedule_seconds")
    return RetryPolicy(**{**settings, "schedule_seconds": None if schedule is None else tuple(schedule)})


def _run(handler: Handler, payload: bytes, view: Any) -> tuple[Verdict, BaseException | None]:
    try:
        return Verdict("completed", result=encode_result(handler.run(json.loads(payload), view))), None
    except KeyboardInterrupt:
        raise  # of whoever runs the tests
    except BaseException as ended:  # noqa: BLE001 (as a worker does)
        return judge_ending(ended), ended
