"""The judgement of figures and of work: a run that lost, doubled or spoilt something must not pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.faults import WrongWork
from tests.benchmarks.figures import (
    Figure,
    at_least_times,
    at_most,
    at_most_and_theirs,
    finished_per_second,
    latencies_ms,
    medians,
    quantile,
)
from tests.benchmarks.load_process import judge_job
from tests.benchmarks.payloads import number_of, payload_of
from tests.benchmarks.receiver import judge_arrivals


def test_a_target_compares_with_the_rival_of_the_same_run() -> None:
    assert _figure(ours=300, theirs=100, target=at_least_times(3)).is_met is True
    assert _figure(ours=299, theirs=100, target=at_least_times(3)).is_met is False
    assert _figure(ours=300, theirs=None, target=at_least_times(3)).is_met is False


def test_a_limit_needs_no_rival_but_may_have_one() -> None:
    assert _figure(ours=10, target=at_most(10, "ms")).is_met is True
    assert _figure(ours=11, target=at_most(10, "ms")).is_met is False
    assert _figure(ours=20, theirs=15, target=at_most_and_theirs(25, "ms")).is_met is False
    assert _figure(ours=20, theirs=21, target=at_most_and_theirs(25, "ms")).is_met is True


def test_a_figure_without_target_is_not_judged() -> None:
    assert _figure(ours=1, theirs=1).is_met is None
    assert _figure(ours=1).ratio is None


def test_medians_are_of_each_value_over_the_rounds_that_have_it() -> None:
    assert medians([{"a": 1, "b": 5}, {"a": 9}, {"a": 2, "b": 7}]) == {"a": 2, "b": 6}


def test_quantiles_of_few_and_many_values() -> None:
    assert quantile([7.0], 99) == 7.0
    assert quantile([float(value) for value in range(101)], 99) == 99.0
    assert latencies_ms([0.0, 1.0], [0.5, 1.5]) == (500.0, 500.0)


def test_the_rate_runs_from_the_first_dispatch_to_the_last_end() -> None:
    times = [
        (3.0, "2026-01-01T00:00:01.000Z", "2026-01-01T00:00:01.100Z"),
        (3.0, "2026-01-01T00:00:00.500Z", "2026-01-01T00:00:02.500Z"),
    ]
    assert finished_per_second(times) == 1.0


def test_a_payload_is_known_by_its_number_and_by_nothing_less() -> None:
    assert number_of(payload_of(42)) == 42
    assert payload_of(42) != payload_of(43)
    assert [number_of(value) for value in (None, "", "00000042", payload_of(42) + "x", 42)] == [-1] * 5


def test_a_job_counts_only_completed_once_with_its_own_payload() -> None:
    job = {"state": "completed", "result": payload_of(7), "attempt": 1}
    assert judge_job(200, job, 7) == ""
    assert "another result" in judge_job(200, job, 8)
    assert "is discarded" in judge_job(200, {**job, "state": "discarded"}, 7)
    assert "ran 2 times" in judge_job(200, {**job, "attempt": 2}, 7)
    assert "answered 404" in judge_job(404, {}, 7)


def test_each_job_is_told_of_once() -> None:
    assert judge_arrivals([_arrival("a", 1), _arrival("b", 2)], {"a": 1, "b": 2}) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("report", "fault"),
    [
        ([], "a was never told"),
        ([{"fault": "No matching signature found", "at": 0.5}], "No matching signature"),
        ([{"job": "a", "webhook_id": "w", "number": 2, "at": 0.5}], "another payload"),
        ([{"job": "a", "webhook_id": name, "number": 1, "at": 0.5} for name in "vw"], "told 2 times"),
        ([{"job": name, "webhook_id": name, "number": 1, "at": 0.5} for name in "az"], "z is nobody's"),
    ],
)
def test_what_arrives_otherwise_fails_the_run(report: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(WrongWork, match=fault):
        judge_arrivals(report, {"a": 1})


def test_one_webhook_id_for_two_jobs_fails_the_run() -> None:
    report = [{**_arrival(name, 1), "webhook_id": "same"} for name in "ab"]
    with pytest.raises(WrongWork, match="more than once"):
        judge_arrivals(report, {"a": 1, "b": 1})


def _arrival(job: str, number: int) -> dict[str, Any]:
    return {"job": job, "webhook_id": f"evt_{job}", "number": number, "at": 0.5}


def _figure(**values: Any) -> Figure:
    return Figure(name="a figure", unit="/s", **values)
