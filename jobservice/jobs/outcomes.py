"""What became of one run, and the one pure decision about what happens next. No I/O here."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

OutcomeKind = Literal["completed", "failed", "timed-out", "crashed"]
NextState = Literal["completed", "discarded", "retryable", "available", "suspended"]

CRASHES_TO_SUSPEND = 3
RETRY_AFTER_LIMIT_SECONDS = 24 * 3600.0
RESULT_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again; api.md's `retry` object, seconds throughout."""

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended. `result` is UTF-8 JSON; `error_message` is a person's text, sealed before it is stored."""

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

    @property
    def finished_at(self) -> datetime:
        return self.started_at + timedelta(seconds=self.duration_seconds)


@dataclass(frozen=True, slots=True)
class Next:
    """Where the job goes: a state, and the delay until it is due when that state waits."""

    state: NextState
    delay_seconds: float = 0.0


def decide_next(outcome: Outcome, *, now: datetime, jitter: float | None = None) -> Next:
    """The whole retry decision. `jitter` in 0…1 replaces the random draw, for tests.

    A crash is counted apart from failures: it never uses up an attempt, and three put the job in quarantine.
    """
    job = outcome.job
    match outcome.kind:
        case "completed":
            return Next("completed")
        case "crashed":
            return Next("suspended" if job.crash_count + 1 >= CRASHES_TO_SUSPEND else "available")
        case _ if outcome.is_permanent or job.attempt - job.crash_count >= job.max_attempts:
            return Next("discarded")
    draw = random.random() if jitter is None else jitter  # noqa: S311 (spreads load, hides nothing)
    delay = retry_delay_seconds(job.retry, failures=job.attempt - job.crash_count, draw=draw)
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
