"""The options that a job and the defaults of a job type have in common: queue, priority, time limit and retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobservice.field_checks import Fields

OPTION_FIELDS = frozenset({"queue", "priority", "timeout_seconds", "max_attempts", "retry"})
MAX_PRIORITY = 9
MAX_ATTEMPTS = 100
MAX_TIMEOUT_SECONDS = 86_400
MAX_BACKOFF_SECONDS = 30 * 86_400
MAX_AGE_SECONDS = 366 * 86_400
MAX_SCHEDULE = 100
_RETRY_FIELDS = frozenset(
    {"strategy", "initial_seconds", "factor", "max_seconds", "jitter", "max_age_seconds", "schedule_seconds"}
)


def read_options(fields: Fields) -> dict[str, Any]:
    """The options that are given and right, by name; the others are noted as faults."""
    options = {
        "queue": fields.name("queue"),
        "priority": fields.integer("priority", low=0, high=MAX_PRIORITY),
        "timeout_seconds": fields.integer("timeout_seconds", low=1, high=MAX_TIMEOUT_SECONDS),
        "max_attempts": fields.integer("max_attempts", low=1, high=MAX_ATTEMPTS),
        "retry": _read_retry(fields),
    }
    return {name: value for name, value in options.items() if value is not None}


def merge_retry(of_type: Mapping[str, Any], of_job: Mapping[str, Any]) -> dict[str, Any]:
    """The retry settings of a job: its own replace its type's, key by key.

    A schedule outdoes a strategy, so a job that names a strategy and no schedule does not take its type's schedule.
    """
    merged = {**of_type, **of_job}
    if "strategy" in of_job and "schedule_seconds" not in of_job:
        merged.pop("schedule_seconds", None)
    return merged


def _read_retry(fields: Fields) -> dict[str, Any] | None:
    retry = fields.fields("retry")
    if retry is None:
        return None
    retry.refuse_others(known=_RETRY_FIELDS)
    given = {
        "strategy": retry.choice("strategy", ("exponential", "fixed")),
        "initial_seconds": retry.integer("initial_seconds", low=0, high=MAX_BACKOFF_SECONDS),
        "factor": retry.number("factor", low=1, high=100),
        "max_seconds": retry.integer("max_seconds", low=0, high=MAX_BACKOFF_SECONDS),
        "jitter": retry.number("jitter", low=0, high=1),
        "max_age_seconds": retry.integer("max_age_seconds", low=1, high=MAX_AGE_SECONDS),
        "schedule_seconds": _read_schedule(retry),
    }
    return {name: value for name, value in given.items() if value is not None}


def _read_schedule(retry: Fields) -> list[int] | None:
    schedule = retry.array("schedule_seconds")
    if schedule is None:
        return None
    if not 1 <= len(schedule) <= MAX_SCHEDULE:
        retry.refuse("schedule_seconds", "out-of-range", f"schedule_seconds must have 1 to {MAX_SCHEDULE} delays.")
        return None
    delays = Fields(
        {str(index): delay for index, delay in enumerate(schedule)},
        faults=retry.faults,
        pointer=retry.pointer("schedule_seconds"),
    )
    for index in range(len(schedule)):
        delays.require(str(index))
        delays.integer(str(index), low=0, high=MAX_BACKOFF_SECONDS)
    return schedule
