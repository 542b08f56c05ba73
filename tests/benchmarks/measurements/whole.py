"""The whole service: accept, store, run, callback done; and how long a client waits at half of that load."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, at_least_times, at_most_and_theirs, latencies_ms, medians
from tests.benchmarks.orders import Submitted
from tests.benchmarks.rivals.drf import NAME


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _ours(bench), lambda: _theirs(bench))
    found = medians(rounds)
    return [
        Figure(
            name="whole service: accept to callback done",
            unit="/s",
            ours=found["ours"],
            theirs=found["theirs"],
            rival=NAME,
            target=at_least_times(4),
            rounds=rounds,
        ),
        Figure(
            name="accept at half of that load, p50",
            unit="ms",
            ours=found["ours_p50"],
            theirs=found["theirs_p50"],
            rival=f"{NAME} at half of its own",
            rounds=rounds,
        ),
        Figure(
            name="accept at half of that load, p99",
            unit="ms",
            ours=found["ours_p99"],
            theirs=found["theirs_p99"],
            rival=f"{NAME} at half of its own",
            target=at_most_and_theirs(25, "ms"),
            rounds=rounds,
        ),
    ]


def _ours(bench: Bench) -> Round:
    rate, _ = _run_ours(bench, bench.effort.whole, None)
    _, half = _run_ours(bench, _count(bench, rate), rate / 2)
    p50, p99 = latencies_ms(half.sent, half.answered)
    return {"ours": rate, "ours_p50": p50, "ours_p99": p99}


def _theirs(bench: Bench) -> Round:
    rate, _ = _run_theirs(bench, bench.effort.whole, None)
    _, half = _run_theirs(bench, _count(bench, rate), rate / 2)
    p50, p99 = latencies_ms(half.sent, half.answered)
    return {"theirs": rate, "theirs_p50": p50, "theirs_p99": p99}


def _count(bench: Bench, rate: float) -> int:
    return max(round(bench.effort.light_seconds * rate / 2), 2)


def _run_ours(bench: Bench, jobs: int, per_second: float | None) -> tuple[float, Submitted]:
    bench.receiver.reset()
    submitted = bench.site.submit(jobs, per_second=per_second, callback_url=bench.receiver.url("callback"))
    bench.site.wait_until_idle()
    arrivals = bench.receiver.arrivals(submitted.jobs)
    bench.site.check(submitted)
    return _rate(submitted, arrivals), submitted


def _run_theirs(bench: Bench, jobs: int, per_second: float | None) -> tuple[float, Submitted]:
    bench.receiver.reset()
    submitted = bench.drf.submit(jobs, per_second=per_second, callback_url=bench.receiver.url("callback"))
    bench.drf.wait_until_idle()
    bench.drf.wait_for_callbacks(jobs)
    arrivals = bench.receiver.arrivals(submitted.jobs)
    bench.drf.check(submitted)
    return _rate(submitted, arrivals), submitted


def _rate(submitted: Submitted, arrivals: dict[str, float]) -> float:
    """From the first request to the last callback."""
    return len(arrivals) / (max(arrivals.values()) - min(submitted.sent))
