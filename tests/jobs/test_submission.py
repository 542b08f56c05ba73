"""What a client may submit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobservice.errors import EgressRefused, Invalid
from jobservice.jobs.submission import PayloadTooLarge, Submission, SubmissionLimits, parse_submission

LIMITS = SubmissionLimits()
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def parse(**fields: Any) -> Submission:
    return parse_submission({"type": "echo", **fields}, limits=LIMITS)


def refused(**fields: Any) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        parse(**fields)
    return {(fault.pointer, fault.code) for fault in caught.value.faults}


def test_a_type_is_enough() -> None:
    assert parse() == Submission(type="echo", payload=b"null")


def test_null_is_not_given() -> None:
    fields = ("queue", "priority", "run_at", "delay_seconds", "timeout_seconds", "max_attempts", "retry", "tags")
    more = ("callback_url", "metadata", "unique", "concurrency_key", "start_deadline_seconds", "payload")
    assert parse(**dict.fromkeys(fields + more)) == parse()


def test_everything_given_is_kept() -> None:
    submission = parse(
        payload={"ü": [1, 2.5]},
        queue="mail",
        priority=9,
        run_at="2026-01-02T03:04:05.5+02:00",
        timeout_seconds=86400,
        max_attempts=100,
        retry={"strategy": "fixed", "initial_seconds": 0, "factor": 1.5, "jitter": 0, "max_age_seconds": None},
        tags={"customer": "7", "empty": ""},
        callback_url="https://example.com/hook",
        metadata=[1],
    )
    assert submission.payload == '{"ü":[1,2.5]}'.encode()
    assert submission.run_at == datetime(2026, 1, 2, 1, 4, 5, 500000, UTC)
    assert submission.retry == {"strategy": "fixed", "initial_seconds": 0, "factor": 1.5, "jitter": 0}
    assert (submission.queue, submission.priority, submission.tags) == ("mail", 9, {"customer": "7", "empty": ""})
    assert (submission.callback_url, submission.metadata) == ("https://example.com/hook", b"[1]")


@pytest.mark.parametrize("raw", [None, [], "x", 1, True])
def test_only_an_object_is_a_submission(raw: object) -> None:
    with pytest.raises(Invalid):
        parse_submission(raw, limits=LIMITS)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("type", "Upper", "bad-format"),
        ("type", "a" * 101, "bad-format"),
        ("type", "a\n", "bad-format"),
        ("type", None, "required"),
        ("type", 1, "wrong-type"),
        ("queue", "\x00", "bad-format"),
        ("priority", -1, "out-of-range"),
        ("priority", True, "wrong-type"),
        ("priority", 1.5, "wrong-type"),
        ("timeout_seconds", 0, "out-of-range"),
        ("timeout_seconds", 86401, "out-of-range"),
        ("timeout_seconds", "60", "wrong-type"),
        ("max_attempts", 101, "out-of-range"),
        ("max_attempts", 10**4000, "out-of-range"),
        ("delay_seconds", -1, "out-of-range"),
        ("delay_seconds", 367 * 86400, "out-of-range"),
        ("run_at", 5, "wrong-type"),
        ("run_at", "tomorrow", "bad-format"),
        ("run_at", "2026-01-01", "bad-format"),
        ("run_at", "2026-01-01T00:00:00", "bad-format"),
        ("run_at", "2026-02-30T00:00:00Z", "bad-format"),
        ("run_at", "0001-01-01T00:00:00+23:59", "bad-format"),
        ("run_at", "9999-12-31T00:00:00Z", "out-of-range"),
        ("retry", [], "wrong-type"),
        ("tags", [], "wrong-type"),
        ("tags", {f"t{n}": "" for n in range(17)}, "too-long"),
        ("callback_url", 1, "wrong-type"),
        ("callback_url", "https://example.com/" + "a" * 2048, "too-long"),
        ("metadata", "x" * 4095, "too-long"),
        ("unique", {}, "required"),
        ("unique", [], "wrong-type"),
        ("concurrency_key", "", "out-of-range"),
        ("concurrency_key", "k" * 201, "too-long"),
        ("concurrency_key", 7, "wrong-type"),
        ("start_deadline_seconds", 0, "out-of-range"),
        ("start_deadline_seconds", "5", "wrong-type"),
        ("a/b~c", 1, "unknown-field"),
    ],
)
def test_a_value_that_breaks_a_rule_is_named(name: str, value: object, code: str) -> None:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    assert refused(**{name: value}) == {(pointer, code)}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"a": 1}, ("/tags/a", "wrong-type")),
        ({"a": None}, ("/tags/a", "wrong-type")),
        ({"a": "x" * 201}, ("/tags/a", "too-long")),
        ({"a": "\x00"}, ("/tags/a", "bad-format")),
        ({"a": "\ud800"}, ("/tags/a", "bad-format")),
        ({"A": "x"}, ("/tags/A", "bad-format")),
        ({"": "x"}, ("/tags/", "bad-format")),
    ],
)
def test_a_bad_tag_is_named(tags: dict[str, object], expected: tuple[str, str]) -> None:
    assert refused(tags=tags) == {expected}


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ({"strategy": "hope"}, ("/retry/strategy", "out-of-range")),
        ({"initial_seconds": 0.5}, ("/retry/initial_seconds", "wrong-type")),
        ({"factor": 0.5}, ("/retry/factor", "out-of-range")),
        ({"factor": 10**400}, ("/retry/factor", "out-of-range")),
        ({"jitter": 1.1}, ("/retry/jitter", "out-of-range")),
        ({"jitter": True}, ("/retry/jitter", "wrong-type")),
        ({"max_age_seconds": 0}, ("/retry/max_age_seconds", "out-of-range")),
        ({"schedule_seconds": []}, ("/retry/schedule_seconds", "out-of-range")),
        ({"schedule_seconds": [1, "2"]}, ("/retry/schedule_seconds/1", "wrong-type")),
        ({"schedule_seconds": [None]}, ("/retry/schedule_seconds/0", "required")),
        ({"schedule_seconds": 5}, ("/retry/schedule_seconds", "wrong-type")),
        ({"attempts": 5}, ("/retry/attempts", "unknown-field")),
    ],
)
def test_a_bad_retry_is_named(retry: dict[str, object], expected: tuple[str, str]) -> None:
    assert refused(retry=retry) == {expected}


def test_every_fault_is_reported_at_once() -> None:
    assert refused(queue=1, priority=10, nonsense=1, callback_url="ftp://x/") == {
        ("/queue", "wrong-type"),
        ("/priority", "out-of-range"),
        ("/nonsense", "unknown-field"),
        ("/callback_url", "egress-refused"),
    }


def test_a_time_and_a_delay_contradict_each_other() -> None:
    assert refused(run_at="2026-01-01T00:00:00Z", delay_seconds=1) == {("/delay_seconds", "conflicting-fields")}


def test_a_year_ahead_is_allowed_and_a_past_time_too() -> None:
    year = datetime.now(UTC) + timedelta(days=365)
    assert parse(run_at=year.isoformat()).run_at == year
    assert parse(run_at="1970-01-01T00:00:00Z").run_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_refused_url_alone_is_a_refusal_of_its_own() -> None:
    with pytest.raises(EgressRefused, match="callback_url"):
        parse(callback_url="http://169.254.169.254/")


def test_the_payload_limit_counts_bytes_of_compact_json() -> None:
    assert parse_submission({"type": "echo", "payload": "ü"}, limits=SubmissionLimits(4)).payload == '"ü"'.encode()
    with pytest.raises(PayloadTooLarge):
        parse_submission({"type": "echo", "payload": "ü"}, limits=SubmissionLimits(3))


def test_metadata_of_exactly_the_limit_is_taken() -> None:
    assert len(parse(metadata="x" * 4094).metadata or b"") == 4096


def test_an_ad_hoc_call_is_checked_like_a_url_of_a_type() -> None:
    assert refused(type="http.request", payload={}) == {("/payload/url", "required")}
    with pytest.raises(EgressRefused, match="payload/url"):
        parse(type="http.request", payload={"url": "http://169.254.169.254/"})
    assert parse(type="http.request", payload={"url": "https://example.com/"}).payload


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACE, TRACE),
        (None, None),
        ("", None),
        ("x", None),
        ("ff" + TRACE[2:], None),
        (TRACE.replace("4bf", "\x00"), None),
        ("00-" + "0" * 32 + TRACE[35:], None),
        (TRACE.upper(), None),
        (TRACE + "-", None),
    ],
)
def test_a_trace_is_carried_when_it_is_one(given: str | None, kept: str | None) -> None:
    assert parse_submission({"type": "echo"}, limits=LIMITS, traceparent=given).traceparent == kept


def test_what_may_hold_a_secret_is_not_in_the_repr() -> None:
    shown = repr(parse(payload="canary", metadata="canary", callback_url="https://example.com/canary"))
    assert "canary" not in shown
