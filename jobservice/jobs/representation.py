"""A job as the world sees it: the one function that turns stored columns into the API's object. Nothing sealed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from jobservice import ids


class JobFacts(Protocol):
    """The columns it needs: a job row with its live row's values where it has one, else those of its end."""

    id: Any
    type: str
    executor: str
    queue: str
    state: str
    priority: int
    attempt: int
    max_attempts: int
    crash_count: int
    retry_of: Any
    tags: dict[str, str]
    unique_hash: bytes | None
    concurrency_hash: bytes | None
    run_at: datetime
    created_at: datetime
    available_at: datetime | None
    dispatched_at: datetime | None
    first_started_at: datetime | None
    last_started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    cancel_requested: bool
    progress_percent: float | None


def represent_job(
    facts: JobFacts,
    *,
    error_message: str | None = None,
    progress_message: str | None = None,
    deduplicated: bool = False,
    waiting: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The job, but for `payload`, `result` and `metadata`. The messages are opened texts; `waiting` is told of
    one job that is read alone.

    Without the messages nothing sealed is in it: so it goes into events, which are stored in the clear.
    """
    error = None if facts.error_code is None else {"code": facts.error_code, "message": error_message}
    return {
        "id": ids.show_id(ids.JOB, facts.id),
        "type": facts.type,
        "executor": facts.executor,
        "queue": facts.queue,
        "state": facts.state,
        "priority": facts.priority,
        "attempt": facts.attempt,
        "max_attempts": facts.max_attempts,
        "crash_count": facts.crash_count,
        "retry_of": None if facts.retry_of is None else ids.show_id(ids.JOB, facts.retry_of),
        "tags": facts.tags,
        "unique_key_set": facts.unique_hash is not None,
        "concurrency_key_set": facts.concurrency_hash is not None,
        "run_at": show_time(facts.run_at),
        "created_at": show_time(facts.created_at),
        "available_at": show_time(facts.available_at),
        "dispatched_at": show_time(facts.dispatched_at),
        "started_at": show_time(facts.first_started_at),
        "finished_at": show_time(facts.finished_at),
        "latency_ms": _latency_ms(facts),
        "duration_ms": _milliseconds(facts.last_started_at, facts.finished_at),
        "progress": show_progress(facts.progress_percent, progress_message),
        "error": error,
        "cancel_requested": facts.cancel_requested,
        "deduplicated": deduplicated,
        "waiting": waiting,
    }


def show_progress(percent: float | None, message: str | None) -> dict[str, Any] | None:
    """How far a run is; None when it did not say."""
    return None if percent is None else {"percent": percent, "message": message}


def show_time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, milliseconds, `Z`."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _latency_ms(facts: JobFacts) -> int | None:
    """From due to the first start; unknown when the job was moved to a later time after it."""
    due_at = max(facts.run_at, facts.created_at)
    is_moved = facts.first_started_at is not None and facts.first_started_at < due_at
    return None if is_moved else _milliseconds(due_at, facts.first_started_at)


def _milliseconds(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else max(0, round((end - start) / timedelta(milliseconds=1)))
