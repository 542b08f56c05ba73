"""What became of one run, and the one pure decision about what happens next. No I/O here."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

# released: this worker gave the run back. Only completed, failed and timed-out use up an attempt.
OutcomeKind = Literal["completed", "failed", "timed-out", "snoozed", "cancelled", "crashed", "released"]
NextState = Literal["completed", "discarded", "cancelled", "retryable", "scheduled", "available", "suspended"]
# Why a job is held: after its third crash, or while its type is switched off.
HoldReason = Literal["crashes", "type-disabled"]

CRASHES_TO_SUSPEND = 3
SNOOZE_LIMIT_SECONDS = 366 * 86_400.0
RETRY_AFTER_LIMIT_SECONDS = 24 * 3600.0
RESULT_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again; the API's `retry` object, seconds throughout."""

    strategy: Literal["exponential", "fixed"] = "exponential"
    initial_seconds: float = 5
    factor: float = 2
    max_seconds: float = 3600
    jitter: float = 0.2
    max_age_seconds: float | None = None
    schedule_seconds: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class StartedJob:
    """A job this process holds under a lease: what an executor needs to run it and `record` to end it."""

    tenant_id: UUID
    job_id: UUID
    epoch: int
    type: str
    executor: str
    handler: str | None
    queue: str
    priority: int
    attempt: int
    max_attempts: int
    crash_count: int
    timeout_seconds: int
    retry: RetryPolicy
    tags: dict[str, str]
    created_at: datetime
    run_at: datetime
    started_at: datetime
    traceparent: str | None
    payload_id: UUID
    sealed_payload: bytes = field(repr=False)
    # What a crash means: "retry" or "discard".
    on_crash: str = "retry"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What whoever ran the job says of it, before it is an outcome. `result` is UTF-8 JSON."""

    kind: OutcomeKind
    result: bytes | None = field(default=None, repr=False)
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=False)
    is_permanent: bool = False
    retry_after_seconds: float | None = None
    snooze_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """The endpoint of a job type, in this version of it, asked to be left alone for so long."""

    seconds: float
    type_version: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended. `result` is UTF-8 JSON; `error_message` is a person's text, sealed before it is stored.

    `snooze_seconds` belongs to a snoozed run; `hold_reason` to a released one that is not to begin again by itself;
    `throttle` to any whose endpoint said "not now" to all.
    """

    job: StartedJob
    kind: OutcomeKind
    worker_id: UUID
    started_at: datetime
    duration_seconds: float
    result: bytes | None = field(default=None, repr=False)
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=False)
    is_permanent: bool = False
    retry_after_seconds: float | None = None
    snooze_seconds: float | None = None
    hold_reason: HoldReason | None = None
    throttle: Throttle | None = None

    @property
    def finished_at(self) -> datetime:
        return self.started_at + timedelta(seconds=self.duration_seconds)


def make_outcome(
    job: StartedJob, verdict: Verdict, *, worker_id: UUID, started_at: datetime, duration_seconds: float
) -> Outcome:
    """The verdict with the run that it is on."""
    return Outcome(
        job=job,
        kind=verdict.kind,
        worker_id=worker_id,
        started_at=started_at,
        duration_seconds=duration_seconds,
        result=verdict.result,
        error_code=verdict.error_code,
        error_message=verdict.error_message,
        is_permanent=verdict.is_permanent,
        retry_after_seconds=verdict.retry_after_seconds,
        snooze_seconds=verdict.snooze_seconds,
    )


@dataclass(frozen=True, slots=True)
class Next:
    """Where the job goes: a state, the delay until it is due when that state waits, and why it is held if it is."""

    state: NextState
    delay_seconds: float = 0.0
    hold_reason: HoldReason | None = None


def decide_next(
    outcome: Outcome, *, now: datetime, jitter: float | None = None, is_cancel_requested: bool = False
) -> Next:
    """What follows a run: the whole decision. `jitter` in 0…1 replaces the random draw, for tests.

    Once somebody asked to cancel the job, whatever its run came to is its end. A crash is counted apart from failures:
    it never uses up an attempt, and three put the job in quarantine. A snoozed or released run counts nothing.
    """
    job = outcome.job
    if is_cancel_requested:
        return Next("cancelled")
    match outcome.kind:
        case "completed" | "cancelled":
            return Next(outcome.kind)
        case "released":
            return Next("suspended", hold_reason=outcome.hold_reason) if outcome.hold_reason else Next("available")
        case "snoozed":
            return Next("scheduled", min(max(outcome.snooze_seconds or 0.0, 0.0), SNOOZE_LIMIT_SECONDS))
        case "crashed":
            return _after_crash(job)
        case "failed" | "timed-out":
            return _after_failure(outcome, now=now, jitter=jitter)


def _after_crash(job: StartedJob) -> Next:
    if job.on_crash == "discard":
        return Next("discarded")
    return Next("suspended", hold_reason="crashes") if job.crash_count + 1 >= CRASHES_TO_SUSPEND else Next("available")


def _after_failure(outcome: Outcome, *, now: datetime, jitter: float | None) -> Next:
    job = outcome.job
    failures = job.attempt - job.crash_count
    if outcome.is_permanent or failures >= job.max_attempts:
        return Next("discarded")
    draw = random.random() if jitter is None else jitter  # noqa: S311 (spreads load, hides nothing)  # nosec B311
    delay = retry_delay_seconds(job.retry, failures=failures, draw=draw)
    delay = max(delay, min(outcome.retry_after_seconds or 0.0, RETRY_AFTER_LIMIT_SECONDS))
    if job.retry.max_age_seconds is not None:
        last_moment = job.created_at + timedelta(seconds=job.retry.max_age_seconds)
        if now + timedelta(seconds=delay) > last_moment:
            return Next("discarded")
    return Next("retryable", delay)


def retry_delay_seconds(policy: RetryPolicy, *, failures: int, draw: float) -> float:
    """Seconds to wait after the n-th failure (n ≥ 1). `draw` in 0…1 moves it by ± jitter, 0.5 not at all."""
    if policy.schedule_seconds:
        base = policy.schedule_seconds[min(failures, len(policy.schedule_seconds)) - 1]
    elif policy.strategy == "fixed":
        base = policy.initial_seconds
    else:
        # The exponent is bounded so that a hundred attempts cannot overflow a float.
        base = policy.initial_seconds * policy.factor ** min(failures - 1, 64)
    base = min(base, policy.max_seconds) if policy.schedule_seconds is None else base
    return max(0.0, base * (1 + policy.jitter * (2 * draw - 1)))
