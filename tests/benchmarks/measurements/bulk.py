"""Bulk accepts, a hundred jobs per request, against a bare INSERT of the same sealed rows into the same server."""

from __future__ import annotations

from dataclasses import asdict

from tests.benchmarks.bench import Bench
from tests.benchmarks.children import ask
from tests.benchmarks.figures import Figure, Round, at_least_times, latencies_ms, medians
from tests.benchmarks.rivals.bare_inserts import InsertOrder
from tests.benchmarks.site import BULK, CONNECTIONS

MODULE = "tests.benchmarks.rivals.bare_inserts"


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _both(bench))
    found = medians(rounds)
    rival = "bare INSERT of the same rows"
    return [
        Figure(
            name=f"accept, {BULK} jobs a request",
            unit="jobs/s",
            ours=found["ours"],
            theirs=found["theirs"],
            rival=rival,
            target=at_least_times(0.5),
            rounds=rounds,
        ),
        Figure(name=f"accept, {BULK} jobs a request, p50", unit="ms", ours=found["p50"], rounds=rounds),
        Figure(name=f"accept, {BULK} jobs a request, p99", unit="ms", ours=found["p99"], rounds=rounds),
    ]


def _both(bench: Bench) -> Round:
    """The rows of the backlog are the sample that is inserted barely, while they are all there."""
    with bench.site.held_dispatcher():
        submitted = bench.site.submit(bench.effort.bulk_jobs, per_request=BULK)
        order = InsertOrder(
            database_url=bench.site.database_url,
            rows=bench.effort.bulk_jobs,
            per_statement=BULK,
            connections=CONNECTIONS // 2,
        )
        bare = ask(MODULE, asdict(order))["rows_per_second"]
    bench.site.wait_until_idle()
    bench.site.check(submitted)
    p50, p99 = latencies_ms(submitted.sent, submitted.answered)
    return {"ours": submitted.rate, "theirs": bare, "p50": p50, "p99": p99}
