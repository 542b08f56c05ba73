"""A healthy tenant's callbacks beside hundreds of endpoints that never take an event (tests/journeys/hostile.py)."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, at_most, quantile
from tests.journeys.hostile import measure_hostiles

_CLEAR = "UPDATE webhook_endpoint SET status = 'paused' WHERE status = 'enabled'", "DELETE FROM delivery_live"


def measure(bench: Bench) -> list[Figure]:
    effort = bench.effort
    try:
        effect = measure_hostiles(bench.site.product, endpoints=effort.hostiles, seconds=effort.quiet_seconds)
    finally:
        # What never ends must not keep the run from ending.
        for statement in _CLEAR:
            bench.site.database.execute(statement)
    beside = Figure(
        name=f"end of a job to its callback beside {effort.hostiles} hostile endpoints, p95",
        unit="ms",
        ours=quantile(effect.beside_seconds, 95) * 1000,
        theirs=quantile(effect.alone_seconds, 95) * 1000,
        rival="the same without them",
        target=at_most(2000, "ms"),
    )
    growth = Figure(
        name="memory the egress worker took for them",
        unit="MB",
        ours=max(effect.growth_bytes, 0) / 1e6,
        target=at_most(50, "MB"),
    )
    in_flight = Figure(name="of them in flight at once, at most", unit="", ours=effect.most_in_flight)
    return [beside, growth, in_flight]
