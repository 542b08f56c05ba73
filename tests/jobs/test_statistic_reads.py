"""Reads of statistics: the right range in the right steps, and the same numbers by queue, type and as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobservice.errors import Invalid
from jobservice.jobs.accept import accept_jobs
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.overview import CappedCount, count_states, rank_queues
from jobservice.jobs.queues import change_queue
from jobservice.jobs.states import STATES
from jobservice.jobs.statistic_ranges import MAX_POINTS, STEPS, TimeRange, read_range
from jobservice.jobs.statistic_reads import StatisticFilters, read_series, show_quantiles, summarize_types
from tests.factories import Tenant, make_job, make_submission
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.jobs.folding import fold, run
from tests.roles import as_role

NOW = datetime(2027, 1, 31, 12, 0, 30, tzinfo=UTC)


def ago(**times: float) -> datetime:
    return NOW - timedelta(**times)


@pytest.mark.parametrize(
    ("since", "step"),
    [
        (ago(minutes=15), "1m"),
        (ago(hours=1), "1m"),
        (ago(hours=6), "5m"),
        (ago(hours=24), "15m"),
        (ago(days=3), "1h"),
        (ago(days=7), "6h"),
        (ago(days=30), "6h"),
        (ago(days=90), "1d"),
    ],
)
def test_a_step_that_nobody_chose_makes_a_chart(since: datetime, step: str) -> None:
    found = read_range(since, None, None, now=NOW)
    assert found.step == step
    assert found.since <= since < found.since + timedelta(seconds=STEPS[step])
    assert found.until - timedelta(seconds=STEPS[step]) < NOW <= found.until
    assert len(found.moments()) * STEPS[step] == (found.until - found.since).total_seconds()


def test_the_hour_until_now_is_the_default() -> None:
    assert read_range(None, None, None, now=NOW) == TimeRange(
        datetime(2027, 1, 31, 11, 0, tzinfo=UTC), datetime(2027, 1, 31, 12, 1, tzinfo=UTC), "1m"
    )


def test_a_series_is_read_from_the_largest_kept_step_that_it_is_made_of() -> None:
    found = {step: TimeRange(NOW, NOW, step).base_seconds for step in STEPS}
    assert found == {"1m": 60, "5m": 60, "15m": 60, "1h": 3600, "6h": 3600, "1d": 86_400}


@pytest.mark.parametrize(
    ("since", "until", "step", "pointer"),
    [
        (NOW, NOW, None, "/since"),
        (NOW, ago(hours=1), None, "/since"),
        (ago(days=3), None, "1m", "/since"),
        (ago(days=62), None, "1h", "/since"),
        (ago(days=1000), None, None, "/since"),
        (None, NOW + timedelta(days=400), None, "/until"),
        (ago(minutes=MAX_POINTS + 1), None, "1m", "/step"),
    ],
)
def test_what_is_not_there_is_refused(
    since: datetime | None, until: datetime | None, step: str | None, pointer: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        read_range(since, until, step, now=NOW)
    assert [fault.pointer for fault in refusal.value.faults] == [pointer]


def this_hour(step: str = "1m") -> TimeRange:
    return read_range(None, None, step, now=datetime.now(UTC) + timedelta(seconds=30))


@pytest.mark.django_db
def test_a_series_is_the_same_in_every_step_by_queue_by_type_and_as_a_whole(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    accept_jobs(tenant.id, [make_submission(queue=name) for name in ("a", "a", "b")], is_atomic=True)
    make_job(other_tenant, queue="a")
    record(*[outcome_of(one) for one in start(claim())])
    fold()
    with as_role("web"):
        whole = read_series(tenant.id, this_hour())
        for step in STEPS:
            other = read_series(tenant.id, this_hour(step))
            assert (other.total.counts, other.total.runs) == (whole.total.counts, whole.total.runs)
        by_queue = [read_series(tenant.id, this_hour(), StatisticFilters(queue=name)) for name in ("a", "b", "c")]
        by_type = read_series(tenant.id, this_hour(), StatisticFilters(type="echo"))
        reach = read_series(tenant.id, this_hour(), StatisticFilters(queues=["b", "c"]))
    assert (whole.total.counts["accepted"], whole.total.counts["completed"]) == (3, 3)
    assert sum(whole.total.waits.values()) == sum(whole.total.runs.values()) == 3
    assert len(whole.points) == 61
    assert [series.total.counts["completed"] for series in by_queue] == [2, 1, 0]
    assert by_type.total == whole.total
    assert (reach.total.counts["completed"], sum(reach.total.waits.values())) == (1, 1)
    assert show_quantiles(whole.total.runs) == {"p50": 11.2, "p95": 11.2, "p99": 11.2}
    assert show_quantiles(by_queue[2].total.runs) == {"p50": None, "p95": None, "p99": None}


@pytest.mark.django_db
def test_points_are_where_things_happened(tenant: Tenant) -> None:
    for minutes in (0, 10):
        make_job(tenant)
        # Of one moment, that of the transaction: between two jobs a minute may end.
        run("UPDATE statistic_delta SET minute = date_trunc('minute', now()) - make_interval(mins => %s)", [minutes])
        fold()
    with as_role("web"):
        points = read_series(tenant.id, this_hour()).points
    places = [place for place, point in enumerate(points) if point.counts["accepted"]]
    assert places[1] - places[0] == 10
    assert [points[place].counts["accepted"] for place in places] == [1, 1]


@pytest.mark.django_db
def test_the_types_that_fail_most_come_first_and_others_not_at_all(tenant: Tenant) -> None:
    for type_, queue in (("echo", "a"), ("fail", "a"), ("echo", "b"), ("sleep", "b")):
        payload = {"seconds": 1} if type_ == "sleep" else {}
        make_job(tenant, type=type_, queue=queue, payload=payload, max_attempts=1)
    record(*[outcome_of(one, "completed" if one.type == "sleep" else "failed") for one in start(claim())])
    fold()
    with as_role("web"):
        found = summarize_types(tenant.id, this_hour())
        assert len(summarize_types(tenant.id, this_hour(), limit=1)) == 1
    assert [(one.type, one.counts["discarded"]) for one in found] == [("echo", 2), ("fail", 1)]


@pytest.mark.django_db
def test_states_are_counted_up_to_a_cap(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(other_tenant)
    for queue in ("a", "b", "b"):
        make_job(tenant, queue=queue)
    make_job(tenant, delay_seconds=100)
    cancel_job(tenant.id, job_uuid(make_job(tenant)))
    with as_role("web"):
        exact, capped = count_states(tenant.id), count_states(tenant.id, cap=2)
    none = CappedCount(0, False)
    assert exact == {
        **dict.fromkeys(STATES, none),
        "available": CappedCount(3, False),
        "scheduled": CappedCount(1, False),
        "cancelled": CappedCount(1, False),
    }
    assert capped["available"] == CappedCount(2, True)
    start([ref for ref in claim() if ref.tenant_id == tenant.id])
    with as_role("web"):
        assert count_states(tenant.id)["executing"] == CappedCount(3, False)


@pytest.mark.django_db
def test_the_queue_that_waits_longest_comes_first(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(other_tenant, queue="theirs")
    make_job(tenant, queue="new")
    old = make_job(tenant, queue="old")
    make_job(tenant, queue="old")
    make_job(tenant, queue="later", delay_seconds=100)
    change_queue(tenant.id, "old", {"paused": True})
    run(
        "UPDATE job_live SET due_at = due_at - interval '1 h', rank = rank - interval '1 h' WHERE job_id = %s",
        [job_uuid(old)],
    )
    with as_role("web"):
        found = rank_queues(tenant.id)
        assert [one.queue for one in rank_queues(tenant.id, limit=1)] == ["old"]
    assert [(one.queue, one.waiting, one.is_paused) for one in found] == [
        ("old", CappedCount(2, False), True),
        ("new", CappedCount(1, False), False),
    ]
    assert 3599 < (found[0].oldest_due_seconds or 0) < 3700
