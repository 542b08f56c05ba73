"""Jobs finished per second whose work is a signed call to the tenant's own endpoint."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, finished_per_second, medians
from tests.benchmarks.site import HTTP_TYPE


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _ours(bench))
    return [
        Figure(name="http jobs finished, from a backlog", unit="/s", ours=medians(rounds)["finished"], rounds=rounds)
    ]


def _ours(bench: Bench) -> Round:
    bench.receiver.reset()
    with bench.site.held_dispatcher():
        submitted = bench.site.fill(bench.effort.http_jobs, type=HTTP_TYPE)
    bench.site.wait_until_idle()
    read = bench.site.check(submitted)
    bench.receiver.arrivals(submitted.jobs)
    return {"finished": finished_per_second(read.times)}
