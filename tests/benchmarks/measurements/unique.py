"""Accepts with a unique key each, against the same without one: what the promise of one job per key costs."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, at_least_times, medians

# Each job's payload has its number in it, so each has a key of its own.
OWN_KEY = {"payload_pointers": [""]}


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _both(bench))
    found = medians(rounds)
    return [
        Figure(
            name="accept, each job with a unique key",
            unit="/s",
            ours=found["with"],
            theirs=found["without"],
            rival="the same without a key",
            target=at_least_times(0.8),
            rounds=rounds,
        )
    ]


def _both(bench: Bench) -> Round:
    with bench.site.held_dispatcher():
        plain = bench.site.submit(bench.effort.accepts)
        keyed = bench.site.submit(bench.effort.accepts, unique=OWN_KEY)
    bench.site.wait_until_idle()
    bench.site.check(plain)
    bench.site.check(keyed)
    return {"with": keyed.rate, "without": plain.rate}
