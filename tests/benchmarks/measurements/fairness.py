"""One tenant floods the service: how long another one's few jobs wait; and whether shares follow the weights."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.faults import CannotMeasure
from tests.benchmarks.figures import Figure, at_most_times_or, between, quantile
from tests.benchmarks.site import BULK

PER_SECOND = 10
WEIGHTS = (1, 3)


def measure(bench: Bench) -> list[Figure]:
    quiet = bench.site.make_tenant("quiet")
    idle = _quiet_waits(bench, quiet)
    flooded = _beside_a_flood(bench, quiet)
    wait = Figure(
        name=f"wait of {PER_SECOND} jobs a second beside {bench.effort.flood_jobs:,} of another tenant, p95",
        unit="ms",
        ours=quantile(flooded, 95),
        theirs=quantile(idle, 95),
        rival="the same on an idle system",
        target=at_most_times_or(2, 1000, "ms"),
    )
    ratio = _ratio_of_shares(bench)
    share = Figure(name="shares of two tenants of weights 1 and 3", unit="1 :", ours=ratio, target=between(2.7, 3.3))
    return [wait, share]


def _quiet_waits(bench: Bench, key: str) -> list[float]:
    """From due to start, in milliseconds, of jobs sent at an even rate."""
    jobs = max(4, round(PER_SECOND * bench.effort.quiet_seconds))
    submitted = bench.site.submit(jobs, per_second=PER_SECOND, key=key)
    bench.site.wait_until_over(list(submitted.jobs))
    return [times[0] for times in bench.site.check(submitted, key=key).times]


def _beside_a_flood(bench: Bench, key: str) -> list[float]:
    with bench.site.held_dispatcher():
        flood = bench.site.submit(bench.effort.flood_jobs, per_request=BULK)
    waits = _quiet_waits(bench, key)
    if bench.site.has_no_unfinished_job() and bench.effort.judges:
        raise CannotMeasure("The flood was over before the quiet tenant's jobs were.")
    bench.site.wait_until_idle()
    bench.site.check(flood)
    return waits


def _ratio_of_shares(bench: Bench) -> float:
    """Jobs begun of the heavy tenant for one of the light one, while both have more than enough waiting."""
    keys = [bench.site.make_tenant(f"weight-{weight}", weight=weight) for weight in WEIGHTS]
    with bench.site.held_dispatcher():
        for key in keys:
            bench.site.submit(bench.effort.share_jobs, per_request=BULK, key=key)
    # When as many are begun as each has, three quarters of them are the heavy one's, which has a quarter left.
    light, heavy = bench.site.count_first_begun([f"weight-{weight}" for weight in WEIGHTS], bench.effort.share_jobs)
    return heavy / max(light, 1)
