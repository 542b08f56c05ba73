"""What an endpoint's answer means for the job: the table of docs/api.md, as pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from jobservice.egress.client import EgressAnswer
from jobservice.egress.failures import EgressFailed
from jobservice.egress.retry_after import parse_retry_after
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, SNOOZE_LIMIT_SECONDS, Verdict

RETRIED_STATUSES = (408, 425, 429)
# "Not now", said to everybody and not of this job.
THROTTLING_STATUSES = (429, 503)
GONE = 410
NEVER_AGAIN = 489

# The words of the egress client that an outcome says differently.
_FAILURE_CODES = {"refused": "egress-refused", "timeout": "timed-out", "too-large": "header-too-large"}


@dataclass(frozen=True, slots=True)
class Later:
    """No verdict yet: the endpoint is at work, and will complete the job itself."""


def judge_answer(answer: EgressAnswer, *, can_complete_later: bool, now: datetime) -> Verdict | Later:
    """The verdict on a job type's endpoint: any 2xx completes the job and its body is the result.

    `can_complete_later` says whether the endpoint was told where to complete the job.
    """
    if answer.status == 202 and _word(answer, "job-completion") == "async":
        return Later() if can_complete_later else _no_address()
    if 200 <= answer.status <= 299:
        return complete(answer, lambda: json_body(answer))
    if answer.status in (GONE, NEVER_AGAIN) or _word(answer, "job-retry") == "false":
        return fail(_code(answer), _sentence(answer), is_permanent=True)
    snooze = _whole_seconds(answer.header("job-snooze")) if answer.status == 503 else None
    return judge_status(answer, now=now) if snooze is None else Verdict("snoozed", snooze_seconds=snooze)


def judge_adhoc(answer: EgressAnswer, *, is_expected: bool, now: datetime) -> Verdict:
    """The verdict on an `http.request`: an expected status completes the job and the whole answer is the result.

    The peer was not written for this service, so only the statuses that mean the same everywhere are heeded.
    """
    if is_expected:
        return complete(answer, lambda: _describe(answer))
    if answer.status == GONE:
        return fail(_code(answer), _sentence(answer), is_permanent=True)
    return judge_status(answer, now=now)


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
    """The verdict on a status that does not complete the job and that nothing else is said about."""
    if 300 <= answer.status <= 399:
        message = f"The endpoint answered with status {answer.status}, a redirect; redirects are never followed."
        return fail(_code(answer), message, is_permanent=True)
    if answer.status in RETRIED_STATUSES or answer.status >= 500:
        wait = parse_retry_after(answer.header("retry-after"), now)
        return fail(_code(answer), _sentence(answer), retry_after_seconds=wait)
    return fail(_code(answer), _sentence(answer))


def asked_pause(answer: EgressAnswer, verdict: Verdict, *, now: datetime) -> float | None:
    """For how many seconds the endpoint asks to be left alone, by all jobs of its type; None when it does not.

    A snooze is of its job alone.
    """
    if answer.status not in THROTTLING_STATUSES or verdict.kind == "snoozed":
        return None
    return parse_retry_after(answer.header("retry-after"), now) or None


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


def _no_address() -> Verdict:
    return fail(
        "async-completion-unavailable",
        "The endpoint asked to complete the job later, but the operator has not set JOBSERVICE_PUBLIC_URL, under which "
        "it could.",
        is_permanent=True,
    )


def _code(answer: EgressAnswer) -> str:
    return f"http-{answer.status}"


def _sentence(answer: EgressAnswer) -> str:
    return f"The endpoint answered with status {answer.status}."


def _word(answer: EgressAnswer, header: str) -> str:
    return (answer.header(header) or "").strip().lower()


def _whole_seconds(value: str | None) -> float | None:
    """A header's seconds, at least one: an endpoint that snoozes for none would be asked without a pause."""
    text = (value or "").strip()
    if not (text.isascii() and text.isdigit()):
        return None
    # Python refuses to read numbers of thousands of digits; nine are already past the bound.
    digits = text.lstrip("0") or "0"
    return SNOOZE_LIMIT_SECONDS if len(digits) > 9 else min(max(float(digits), 1.0), SNOOZE_LIMIT_SECONDS)
