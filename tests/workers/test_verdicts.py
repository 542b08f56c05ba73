"""The verdict table of the http executor, row by row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from jobservice.egress.client import EgressAnswer
from jobservice.egress.failures import EgressFailed, ErrorClass
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, SNOOZE_LIMIT_SECONDS, Verdict
from workers.executors.verdicts import Later, asked_pause, judge_adhoc, judge_answer, judge_failure

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def answer(status: int, body: bytes = b"", *, truncated: bool = False, **headers: str) -> EgressAnswer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return EgressAnswer(status=status, headers=named, body=body, truncated=truncated, elapsed_seconds=0.1)


def judge(status: int, body: bytes = b"", *, truncated: bool = False, **headers: str) -> Verdict:
    given = answer(status, body, truncated=truncated, **headers)
    verdict = judge_answer(given, can_complete_later=True, now=NOW)
    assert isinstance(verdict, Verdict)
    return verdict


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


@pytest.mark.parametrize("word", ["async", " Async "])
def test_an_endpoint_may_complete_the_job_later(word: str) -> None:
    assert judge_answer(answer(202, job_completion=word), can_complete_later=True, now=NOW) == Later()


@pytest.mark.parametrize(("status", "word"), [(202, "sync"), (202, ""), (200, "async"), (201, "async")])
def test_any_other_2xx_completes_it_now(status: int, word: str) -> None:
    assert judge(status, b"1", job_completion=word) == Verdict("completed", result=b"1")


def test_an_endpoint_that_was_told_no_address_cannot_complete_it_later() -> None:
    verdict = judge_answer(answer(202, job_completion="async"), can_complete_later=False, now=NOW)
    assert isinstance(verdict, Verdict)
    assert (verdict.kind, verdict.error_code, verdict.is_permanent) == ("failed", "async-completion-unavailable", True)
    assert "JOBSERVICE_PUBLIC_URL" in (verdict.error_message or "")


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
    ("status", "retry_after", "seconds"),
    [
        (408, "7", 7.0),
        (425, "7", 7.0),
        (429, "Fri, 01 Jan 2027 00:01:00 GMT", 60.0),
        (500, "3600", 3600.0),
        (503, "999999999", 24 * 3600.0),
        (404, "7", None),
        (410, "7", None),
        (500, "soon", None),
    ],
)
def test_retry_after_is_honoured_where_the_table_says_so(status: int, retry_after: str, seconds: float | None) -> None:
    assert judge(status, retry_after=retry_after).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("job_snooze", "seconds"),
    [("30", 30.0), ("0", 1.0), ("0030", 30.0), ("90000", 90_000.0), ("1" * 6000, SNOOZE_LIMIT_SECONDS)],
)
def test_a_503_may_snooze_the_job(job_snooze: str, seconds: float) -> None:
    verdict = judge(503, b"never the result", job_snooze=job_snooze, retry_after="7")
    assert verdict == Verdict("snoozed", snooze_seconds=seconds)


@pytest.mark.parametrize(("status", "job_snooze"), [(503, "-1"), (503, "1.5"), (503, "soon"), (500, "30"), (429, "30")])
def test_what_is_no_snooze_is_a_failure_as_any(status: int, job_snooze: str) -> None:
    verdict = judge(status, job_snooze=job_snooze, retry_after="7")
    assert (verdict.kind, verdict.retry_after_seconds, verdict.snooze_seconds) == ("failed", 7.0, None)


def test_never_again_outdoes_a_snooze() -> None:
    assert judge(503, job_snooze="30", job_retry="false").is_permanent


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry_after": "7"}, 7.0),
        (503, {"retry_after": "Fri, 01 Jan 2027 00:01:00 GMT"}, 60.0),
        (429, {"retry_after": "7", "job_retry": "false"}, 7.0),
        (429, {"retry_after": "7", "job_snooze": "30"}, 7.0),
        (503, {"retry_after": "7", "job_snooze": "30"}, None),
        (429, {}, None),
        (429, {"retry_after": "0"}, None),
        (503, {"retry_after": "soon"}, None),
        (408, {"retry_after": "7"}, None),
        (425, {"retry_after": "7"}, None),
        (500, {"retry_after": "7"}, None),
        (200, {"retry_after": "7"}, None),
    ],
)
def test_a_pause_is_asked_for_by_a_429_or_503_that_says_how_long(
    status: int, headers: Any, seconds: float | None
) -> None:
    assert asked_pause(answer(status, **headers), judge(status, **headers), now=NOW) == seconds


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


@pytest.mark.parametrize(
    ("status", "is_permanent"), [(301, True), (404, False), (410, True), (489, False), (503, False)]
)
def test_of_an_adhoc_calls_peer_only_the_common_statuses_are_heeded(status: int, is_permanent: bool) -> None:
    given = answer(status, job_retry="false", job_snooze="30", retry_after="7")
    verdict = judge_adhoc(given, is_expected=False, now=NOW)
    assert (verdict.kind, verdict.is_permanent) == ("failed", is_permanent)
    assert verdict.retry_after_seconds == (7.0 if status == 503 else None)
