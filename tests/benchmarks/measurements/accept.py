"""Accepts: how many jobs per second are promised, and how long a client waits, while nothing else runs."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, latencies_ms, medians
from tests.benchmarks.orders import Submitted
from tests.benchmarks.rivals.drf import NAME


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _ours(bench), lambda: _theirs(bench))
    found = medians(rounds)
    return [
        Figure(
            name=name,
            unit=unit,
            ours=found[f"ours_{key}"],
            theirs=found[f"theirs_{key}"],
            rival=NAME,
            rounds=rounds,
        )
        for key, name, unit in (
            ("rate", "accept, one job a request", "/s"),
            ("p50", "accept, one job a request, p50", "ms"),
            ("p99", "accept, one job a request, p99", "ms"),
        )
    ]


def _ours(bench: Bench) -> Round:
    with bench.site.held_dispatcher():
        submitted = bench.site.submit(bench.effort.accepts)
    bench.site.wait_until_idle()
    bench.site.check(submitted)
    return _named("ours", submitted)


def _theirs(bench: Bench) -> Round:
    with bench.drf.held_worker():
        submitted = bench.drf.submit(bench.effort.accepts)
    bench.drf.wait_until_idle()
    bench.drf.check(submitted)
    return _named("theirs", submitted)


def _named(whose: str, submitted: Submitted) -> Round:
    p50, p99 = latencies_ms(submitted.sent, submitted.answered)
    return {f"{whose}_rate": submitted.rate, f"{whose}_p50": p50, f"{whose}_p99": p99}
