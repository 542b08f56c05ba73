"""From accept to start under a light, even load: as the service recorded it, and as the endpoint saw it."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, at_most, medians, quantile
from tests.benchmarks.orders import Submitted
from tests.benchmarks.rivals.drf import NAME
from tests.benchmarks.site import HTTP_TYPE

PER_SECOND = 50
P50_MS, P99_MS = 10, 50


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _recorded(bench), lambda: _observed(bench), lambda: _theirs(bench))
    found = medians(rounds)
    figures = []
    for key, limit in (("p50", P50_MS), ("p99", P99_MS)):
        for whose, name in (("recorded", "accept to start"), ("observed", "request to endpoint called")):
            figures.append(
                Figure(
                    name=f"{name} at {PER_SECOND}/s, {key}",
                    unit="ms",
                    ours=found[f"{whose}_{key}"],
                    theirs=found[f"theirs_{key}"] if whose == "recorded" else None,
                    rival=NAME if whose == "recorded" else "",
                    target=at_most(limit, "ms"),
                    rounds=rounds,
                )
            )
    return figures


def _recorded(bench: Bench) -> Round:
    submitted = bench.site.submit(_jobs(bench), per_second=PER_SECOND)
    bench.site.wait_until_idle()
    return _named("recorded", [time[0] for time in bench.site.check(submitted).times])


def _observed(bench: Bench) -> Round:
    """From the client's first byte, so the accept is in it."""
    bench.receiver.reset()
    submitted = bench.site.submit(_jobs(bench), per_second=PER_SECOND, type=HTTP_TYPE)
    bench.site.wait_until_idle()
    bench.site.check(submitted)
    arrivals = bench.receiver.arrivals(submitted.jobs)
    return _named("observed", [(arrivals[job_id] - sent) * 1000 for job_id, sent in _sent(submitted).items()])


def _theirs(bench: Bench) -> Round:
    submitted = bench.drf.submit(_jobs(bench), per_second=PER_SECOND)
    bench.drf.wait_until_idle()
    return _named("theirs", bench.drf.check(submitted))


def _jobs(bench: Bench) -> int:
    return round(PER_SECOND * bench.effort.light_seconds)


def _sent(submitted: Submitted) -> dict[str, float]:
    """When each job's request was sent; one job a request."""
    return dict(zip(submitted.jobs, submitted.sent, strict=True))


def _named(whose: str, milliseconds: list[float]) -> Round:
    return {f"{whose}_p50": quantile(milliseconds, 50), f"{whose}_p99": quantile(milliseconds, 99)}
