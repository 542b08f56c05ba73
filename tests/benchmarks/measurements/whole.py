"""The whole service: accept, store, run, callback done; and how long a client waits at half of that load."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, Target, at_least_times, at_most_and_theirs, latencies_ms, medians
from tests.benchmarks.orders import Submitted
from tests.benchmarks.rivals.drf import NAME

PARTS = ("web", "dispatcher", "handlers", "egress", "PostgreSQL")


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _ours(bench), lambda: _theirs(bench))
    found = medians(rounds)
    half = f"{NAME} at half of its own"

    def figure(name: str, unit: str, key: str, rival: str = NAME, target: Target | None = None) -> Figure:
        theirs = found.get(f"theirs_{key}")
        ours = found[f"ours_{key}"]
        return Figure(name=name, unit=unit, ours=ours, theirs=theirs, rival=rival, target=target, rounds=rounds)

    return [
        figure("whole service: accept to callback done", "/s", "rate", target=at_least_times(4)),
        figure("accept at half of that load, p50", "ms", "p50", half),
        figure("accept at half of that load, p99", "ms", "p99", half, at_most_and_theirs(25, "ms")),
        figure("processor time of a whole job", "ms", "cpu"),
        *(figure(f"  of it {part}", "ms", f"cpu_{part}", rival="") for part in PARTS),
    ]


def _ours(bench: Bench) -> Round:
    rate, cpu_ms, _ = _run_ours(bench, bench.effort.whole, None)
    _, _, half = _run_ours(bench, _count(bench, rate), rate / 2)
    p50, p99 = latencies_ms(half.sent, half.answered)
    parts = {f"ours_cpu_{part}": value for part, value in cpu_ms.items()}
    return {"ours_rate": rate, "ours_p50": p50, "ours_p99": p99, "ours_cpu": sum(cpu_ms.values()), **parts}


def _theirs(bench: Bench) -> Round:
    rate, cpu_ms, _ = _run_theirs(bench, bench.effort.whole, None)
    _, _, half = _run_theirs(bench, _count(bench, rate), rate / 2)
    p50, p99 = latencies_ms(half.sent, half.answered)
    return {"theirs_rate": rate, "theirs_p50": p50, "theirs_p99": p99, "theirs_cpu": cpu_ms}


def _count(bench: Bench, rate: float) -> int:
    return max(round(bench.effort.light_seconds * rate / 2), 2)


def _run_ours(bench: Bench, jobs: int, per_second: float | None) -> tuple[float, dict[str, float], Submitted]:
    bench.receiver.reset()
    before = bench.site.cpu_seconds()
    submitted = bench.site.submit(jobs, per_second=per_second, callback_url=bench.receiver.url("callback"))
    bench.site.wait_until_idle()
    cpu_ms = {part: (spent - before[part]) * 1000 / jobs for part, spent in bench.site.cpu_seconds().items()}
    arrivals = bench.receiver.arrivals(submitted.jobs)
    bench.site.check(submitted)
    return _rate(submitted, arrivals), cpu_ms, submitted


def _run_theirs(bench: Bench, jobs: int, per_second: float | None) -> tuple[float, float, Submitted]:
    bench.receiver.reset()
    before = bench.drf.cpu_seconds()
    submitted = bench.drf.submit(jobs, per_second=per_second, callback_url=bench.receiver.url("callback"))
    bench.drf.wait_until_idle()
    bench.drf.wait_for_callbacks(jobs)
    cpu_ms = (bench.drf.cpu_seconds() - before) * 1000 / jobs
    arrivals = bench.receiver.arrivals(submitted.jobs)
    bench.drf.check(submitted)
    return _rate(submitted, arrivals), cpu_ms, submitted


def _rate(submitted: Submitted, arrivals: dict[str, float]) -> float:
    """From the first request to the last callback."""
    return len(arrivals) / (max(arrivals.values()) - min(submitted.sent))
