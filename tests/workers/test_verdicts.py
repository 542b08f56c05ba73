"""The verdict table of the http executor, row by row."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from jobservice.egress.client import EgressAnswer
from jobservice.egress.failures import EgressFailed, ErrorClass
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES
from workers.executors.verdicts import Verdict, judge_adhoc, judge_answer, judge_failure

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def answer(status: int, body: bytes = b"", *, truncated: bool = False, **headers: str) -> EgressAnswer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return EgressAnswer(status=status, headers=named, body=body, truncated=truncated, elapsed_seconds=0.1)


def judge(status: int, body: bytes = b"", *, truncated: bool = False, **headers: str) -> Verdict:
    return judge_answer(answer(status, body, truncated=truncated, **headers), now=NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_completes_the_job(status: int) -> None:
    assert judge(status, b'{"ok": true}') == Verdict("completed", result=b'{"ok": true}')


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"", b"null"),
        (b" \n", b"null"),
        (b' {"a": 1.10, "b": 12345678901234567890123}\n', b'{"a": 1.10, "b": 12345678901234567890123}'),
        (b"[1, null]", b"[1, null]"),
        (b"done", b'"done"'),
        (b"two\nlines", b'"two\\nlines"'),
        (b"\xff", '"\ufffd"'.encode()),
        (b"NaN", b'"NaN"'),
        (b"[1e999]", b'"[1e999]"'),
        (b'"\\ud800"', rb'"\"\\ud800\""'),
        (b"9" * 5000, b'"' + b"9" * 5000 + b'"'),
    ],
)
def test_a_json_body_is_the_result_byte_for_byte_and_other_text_becomes_a_string(body: bytes, result: bytes) -> None:
    verdict = judge(200, body)
    assert (verdict.kind, verdict.result) == ("completed", result)


def test_a_deeply_nested_body_is_kept_as_text() -> None:
    body = b"[" * 100_000
    assert judge(200, body).result == b'"' + body + b'"'


@pytest.mark.parametrize(("size", "kind"), [(RESULT_LIMIT_BYTES, "completed"), (RESULT_LIMIT_BYTES + 1, "failed")])
def test_a_result_has_at_most_256_kib(size: int, kind: str) -> None:
    verdict = judge(200, b'"' + b"a" * (size - 2) + b'"')
    assert (verdict.kind, verdict.error_code) == (kind, None if kind == "completed" else "result-too-large")


def test_text_that_grows_past_the_limit_as_a_json_string_is_too_large() -> None:
    assert judge(200, b"\x01" * (RESULT_LIMIT_BYTES // 2)).error_code == "result-too-large"


def test_a_body_that_went_on_past_the_read_limit_is_too_large() -> None:
    assert judge(200, b"{}", truncated=True).error_code == "result-too-large"


def test_asynchronous_completion_is_refused_for_good() -> None:
    verdict = judge(202, job_completion="async")
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == (
        "failed",
        "async-completion-not-supported",
        True,
    )


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [
        (300, True),
        (301, True),
        (307, True),
        (400, False),
        (401, False),
        (404, False),
        (408, False),
        (410, True),
        (418, False),
        (425, False),
        (429, False),
        (489, True),
        (500, False),
        (503, False),
        (599, False),
    ],
)
def test_every_other_status_fails_and_some_for_good(status: int, is_permanent: bool) -> None:
    verdict = judge(status, b"never the result")
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == ("failed", f"http-{status}", is_permanent)
    assert verdict.result is None
    assert verdict.retry_after_seconds is None


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_job_retry_false_makes_any_failure_permanent(status: int) -> None:
    assert judge(status, job_retry="False").is_permanent
    assert not judge(status, job_retry="true").is_permanent


@pytest.mark.parametrize(
    ("status", "retry_after", "job_snooze", "seconds"),
    [
        (408, "7", "", 7.0),
        (425, "7", "", 7.0),
        (429, "Fri, 01 Jan 2027 00:01:00 GMT", "", 60.0),
        (503, "999999999", "", 24 * 3600.0),
        (404, "7", "", None),
        (500, "soon", "", None),
        (503, "", "30", 30.0),
        (503, "60", "30", 60.0),
        (503, "", "1" * 6000, 24 * 3600.0),
        (503, "", "-1", None),
        (500, "", "30", None),
    ],
)
def test_retry_after_is_honoured_where_the_table_says_so(
    status: int, retry_after: str, job_snooze: str, seconds: float | None
) -> None:
    assert judge(status, retry_after=retry_after, job_snooze=job_snooze).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("error_class", "kind", "code", "is_permanent"),
    [
        ("timeout", "timed-out", "timed-out", False),
        ("refused", "failed", "egress-refused", True),
        ("dns", "failed", "dns", False),
        ("connect", "failed", "connect", False),
        ("tls", "failed", "tls", False),
        ("disconnected", "failed", "disconnected", False),
        ("protocol", "failed", "protocol", False),
        ("too-large", "failed", "header-too-large", False),
    ],
)
def test_a_fault_of_the_network_is_retried_and_a_refused_url_is_not(
    error_class: ErrorClass, kind: str, code: str, is_permanent: bool
) -> None:
    verdict = judge_failure(EgressFailed(error_class))
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == (kind, code, is_permanent)
    assert verdict.error_message


def test_the_result_of_an_adhoc_call_is_its_whole_answer() -> None:
    given = EgressAnswer(404, (("a", "1"), ("b", "2"), ("a", "3")), b'{"n": 1.10}', False, 0.1)
    verdict = judge_adhoc(given, is_expected=True, now=NOW)
    assert verdict.kind == "completed"
    assert verdict.result is not None
    assert json.loads(verdict.result) == {"status": 404, "headers": {"a": "1, 3", "b": "2"}, "body": {"n": 1.1}}
    assert b"1.10" in verdict.result


def test_an_unexpected_status_of_an_adhoc_call_fails_even_when_it_is_a_2xx() -> None:
    assert judge_adhoc(answer(200), is_expected=False, now=NOW).error_code == "http-200"


def test_an_adhoc_call_does_not_know_asynchronous_completion() -> None:
    assert judge_adhoc(answer(202, job_completion="async"), is_expected=True, now=NOW).kind == "completed"
