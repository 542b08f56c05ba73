"""What an endpoint's answer means for the job: api.md's table of the http executor, as pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from jobservice.egress.client import EgressAnswer
from jobservice.egress.failures import EgressFailed
from jobservice.egress.retry_after import MAX_SECONDS, parse_retry_after
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, OutcomeKind

RETRIED_STATUSES = (408, 425, 429)
GONE = 410
NEVER_AGAIN = 489

# The words of the egress client that an outcome says differently.
_FAILURE_CODES = {"refused": "egress-refused", "timeout": "timed-out", "too-large": "header-too-large"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The part of an `Outcome` that an executor decides. `result` is UTF-8 JSON."""

    kind: OutcomeKind
    result: bytes | None = field(default=None, repr=False)
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=False)
    is_permanent: bool = False
    retry_after_seconds: float | None = None


def judge_answer(answer: EgressAnswer, *, now: datetime) -> Verdict:
    """The verdict on a job type's endpoint: any 2xx completes the job and its body is the result."""
    if not 200 <= answer.status <= 299:
        return judge_status(answer, now=now)
    if answer.status == 202 and (answer.header("job-completion") or "").strip().lower() == "async":
        return fail(
            "async-completion-not-supported",
            "The endpoint asked to complete the job later, which this service does not support yet.",
            is_permanent=True,
        )
    return complete(answer, lambda: json_body(answer))


def judge_adhoc(answer: EgressAnswer, *, is_expected: bool, now: datetime) -> Verdict:
    """The verdict on an `http.request`: an expected status completes the job and the whole answer is the result."""
    if not is_expected:
        return judge_status(answer, now=now)
    return complete(answer, lambda: _describe(answer))


def judge_failure(failure: EgressFailed) -> Verdict:
    """The verdict when there was no answer. A refused URL is a fault of configuration: trying again changes nothing."""
    code = _FAILURE_CODES.get(failure.error_class, failure.error_class)
    return Verdict(
        kind="timed-out" if failure.error_class == "timeout" else "failed",
        error_code=code,
        error_message=failure.detail,
        is_permanent=failure.error_class == "refused",
    )


def judge_status(answer: EgressAnswer, *, now: datetime) -> Verdict:
    """The verdict on a status that does not complete the job."""
    status, code = answer.status, f"http-{answer.status}"
    if 300 <= status <= 399:
        message = f"The endpoint answered with status {status}, a redirect; redirects are never followed."
        return fail(code, message, is_permanent=True)
    message = f"The endpoint answered with status {status}."
    if status in (GONE, NEVER_AGAIN) or (answer.header("job-retry") or "").strip().lower() == "false":
        return fail(code, message, is_permanent=True)
    if status in RETRIED_STATUSES or status >= 500:
        return fail(code, message, retry_after_seconds=_wanted_delay(answer, now))
    return fail(code, message)


def complete(answer: EgressAnswer, make_result: Callable[[], bytes]) -> Verdict:
    """Completed with the result that the answer makes, unless that is larger than a result may be."""
    result = None if answer.truncated else make_result()
    if result is None or len(result) > RESULT_LIMIT_BYTES:
        limit = RESULT_LIMIT_BYTES // 1024
        return fail("result-too-large", f"The answer makes a result of more than {limit} KiB.")
    return Verdict("completed", result=result)


def fail(code: str, message: str, *, is_permanent: bool = False, retry_after_seconds: float | None = None) -> Verdict:
    return Verdict(
        kind="failed",
        error_code=code,
        error_message=message,
        is_permanent=is_permanent,
        retry_after_seconds=retry_after_seconds,
    )


def json_body(answer: EgressAnswer) -> bytes:
    """The body as JSON: itself when it is JSON, `null` when empty, else its text as a JSON string.

    JSON is kept byte for byte, so that no number loses digits on the way.
    """
    body = answer.body.strip(b" \t\r\n")
    if not body:
        return b"null"
    if _is_json(body):
        return body
    return json.dumps(answer.body.decode("utf-8", "replace"), ensure_ascii=False).encode()


def _describe(answer: EgressAnswer) -> bytes:
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    head = json.dumps({"status": answer.status, "headers": headers}, ensure_ascii=False)
    return head[:-1].encode() + b', "body": ' + json_body(answer) + b"}"


def _is_json(body: bytes) -> bool:
    """Whether every reader of the result will take it: strict RFC 8259, finite numbers, no lone surrogate."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("too large for a number")
    return number


def _wanted_delay(answer: EgressAnswer, now: datetime) -> float | None:
    """The longest wait that the answer asks for: Retry-After, and the snooze of a 503."""
    waits = [parse_retry_after(answer.header("retry-after"), now)]
    if answer.status == 503:
        waits.append(_snooze_seconds(answer.header("job-snooze")))
    return max((wait for wait in waits if wait is not None), default=None)


def _snooze_seconds(value: str | None) -> float | None:
    text = (value or "").strip()
    if not (text.isascii() and text.isdigit()):
        return None
    # Python refuses to read numbers of thousands of digits; six are already past the bound.
    digits = text.lstrip("0") or "0"
    return MAX_SECONDS if len(digits) > 6 else min(float(digits), MAX_SECONDS)
