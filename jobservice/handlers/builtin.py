"""The handlers every installation has: `echo`, `sleep` and `fail`, for a first job, for trials and for tests."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from jobservice.handlers.job import Job, PermanentFailure
from jobservice.handlers.registry import handler

LONGEST_SLEEP_SECONDS = 86400


@handler("echo")
def echo(payload: Any, job: Job) -> Any:
    """The result is the payload."""
    return payload


@handler("sleep")
def sleep(payload: Any, job: Job) -> Any:
    """`{"seconds": n}`: do nothing for that long; wakes when cancelled."""
    fields = _fields(payload, {"seconds"})
    seconds = fields.get("seconds")
    if not _is_number(seconds) or not 0 <= seconds <= LONGEST_SLEEP_SECONDS:
        raise PermanentFailure(f'the payload must be {{"seconds": n}} with n between 0 and {LONGEST_SLEEP_SECONDS}')
    job.sleep(seconds)
    return {"seconds": seconds}


@handler("fail")
def fail(payload: Any, job: Job) -> Any:
    """`{"times": n, "permanent": false}`: fail that many attempts, then return `{"attempts": k}`."""
    fields = _fields(payload, {"times", "permanent"})
    times, is_permanent = fields.get("times", 1), fields.get("permanent", False)
    if type(times) is not int or times < 0 or type(is_permanent) is not bool:
        raise PermanentFailure('the payload must be {"times": n, "permanent": true or false} with n from 0')
    if job.attempt > times:
        return {"attempts": job.attempt}
    sentence = f"attempt {job.attempt} of {times} that fail, as asked"
    raise PermanentFailure(sentence) if is_permanent else RuntimeError(sentence)


def _fields(payload: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(payload, dict):
        raise PermanentFailure("the payload must be a JSON object")
    if unknown := sorted(payload.keys() - known):
        raise PermanentFailure(f"the payload has an unknown field {unknown[0]!r}")
    return payload


def _is_number(value: Any) -> TypeGuard[int | float]:
    # Not isinstance: JSON's true is an int to Python.
    return type(value) is int or (type(value) is float and math.isfinite(value))
