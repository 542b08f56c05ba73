"""The retry decision: pure, so a table of cases is the whole test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.ids import new_id
from jobservice.jobs.outcomes import Next, Outcome, RetryPolicy, StartedJob, decide_next, retry_delay_seconds

NOW = datetime(2027, 1, 1, tzinfo=UTC)
JOB = StartedJob(
    tenant_id=new_id(),
    job_id=new_id(),
    epoch=1,
    type="echo",
    executor="handler",
    handler="echo",
    queue="default",
    priority=0,
    attempt=1,
    max_attempts=3,
    crash_count=0,
    timeout_seconds=60,
    retry=RetryPolicy(),
    tags={},
    created_at=NOW,
    run_at=NOW,
    started_at=NOW,
    traceparent=None,
    payload_id=new_id(),
    sealed_payload=b"",
)


def outcome(kind: str, **changes: object) -> Outcome:
    job_fields = {name: changes.pop(name) for name in list(changes) if name in StartedJob.__slots__}
    job = replace(JOB, **job_fields)  # type: ignore[arg-type]
    base = Outcome(job=job, kind=kind, worker_id=new_id(), started_at=NOW, duration_seconds=1.0)  # type: ignore[arg-type]
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_outcome", "expected"),
    [
        (outcome("completed"), Next("completed")),
        (outcome("completed", attempt=3), Next("completed")),
        (outcome("failed"), Next("retryable", 5.0)),
        (outcome("failed", attempt=2), Next("retryable", 10.0)),
        (outcome("failed", attempt=3), Next("discarded")),
        (outcome("failed", is_permanent=True), Next("discarded")),
        (outcome("timed-out"), Next("retryable", 5.0)),
        (outcome("timed-out", attempt=3), Next("discarded")),
        (outcome("failed", retry_after_seconds=30.0), Next("retryable", 30.0)),
        (outcome("failed", retry_after_seconds=1.0), Next("retryable", 5.0)),
        (outcome("failed", retry_after_seconds=1e9), Next("retryable", 24 * 3600.0)),
        (outcome("crashed"), Next("available")),
        (outcome("crashed", attempt=3), Next("available")),
        (outcome("crashed", crash_count=2), Next("suspended", hold_reason="crashes")),
        (outcome("crashed", on_crash="discard"), Next("discarded")),
        (outcome("cancelled"), Next("cancelled")),
        (outcome("released", attempt=3), Next("available")),
        (outcome("released", hold_reason="type-disabled"), Next("suspended", hold_reason="type-disabled")),
        (outcome("snoozed", attempt=3, snooze_seconds=7.5), Next("scheduled", 7.5)),
        (outcome("snoozed", snooze_seconds=-1.0), Next("scheduled", 0.0)),
        (outcome("snoozed", snooze_seconds=1e12), Next("scheduled", 366 * 86_400.0)),
        # Two of three starts were crashes: only one attempt is used up.
        (outcome("failed", attempt=3, crash_count=2), Next("retryable", 5.0)),
        (outcome("failed", retry=RetryPolicy(max_age_seconds=4)), Next("discarded")),
        (outcome("failed", retry=RetryPolicy(max_age_seconds=6)), Next("retryable", 5.0)),
    ],
)
def test_every_outcome_has_one_next_state(given_outcome: Outcome, expected: Next) -> None:
    assert decide_next(given_outcome, now=NOW, jitter=0.5) == expected


def test_age_is_counted_from_the_acceptance_not_from_the_attempt() -> None:
    old = outcome("failed", retry=RetryPolicy(max_age_seconds=60), created_at=NOW - timedelta(seconds=58))
    assert decide_next(old, now=NOW, jitter=0.5).state == "discarded"


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (RetryPolicy(initial_seconds=5, factor=2, max_seconds=12), [5, 10, 12, 12]),
        (RetryPolicy(strategy="fixed", initial_seconds=7), [7, 7, 7]),
        (RetryPolicy(schedule_seconds=(1.0, 60.0, 5.0)), [1, 60, 5, 5, 5]),
        (RetryPolicy(schedule_seconds=(9000.0,), max_seconds=10), [9000]),
    ],
)
def test_delays_follow_the_policy(policy: RetryPolicy, delays: list[float]) -> None:
    assert [retry_delay_seconds(policy, failures=n, draw=0.5) for n in range(1, len(delays) + 1)] == delays


@given(
    failures=st.integers(1, 1000),
    draw=st.floats(0, 1),
    jitter=st.floats(0, 1),
    factor=st.floats(1, 100),
    initial=st.floats(0, 86400),
)
def test_a_delay_is_never_negative_and_stays_within_the_jitter(
    failures: int, draw: float, jitter: float, factor: float, initial: float
) -> None:
    policy = RetryPolicy(initial_seconds=initial, factor=factor, jitter=jitter, max_seconds=3600)
    delay = retry_delay_seconds(policy, failures=failures, draw=draw)
    assert 0 <= delay <= 3600 * (1 + jitter) + 1e-6
