"""Callbacks per second of one egress process, every delivery recorded, against a bare loop that signs and posts.

They rest until every job is over: what follows is a backlog of deliveries alone.
"""

from __future__ import annotations

import time

from tests.benchmarks.bench import Bench
from tests.benchmarks.children import ask
from tests.benchmarks.figures import Figure, Round, at_least_times, medians
from tests.benchmarks.site import PATIENCE_SECONDS
from tests.journeys.product import wait_until

BARE = "tests.benchmarks.rivals.bare_posts"
RIVAL = "a bare aiohttp loop"


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _both(bench))
    found = medians(rounds)
    return [
        Figure(
            name="callbacks delivered and recorded",
            unit="/s",
            ours=found["ours"],
            theirs=found["theirs"],
            rival=RIVAL,
            target=at_least_times(0.5),
            rounds=rounds,
        )
    ]


def _both(bench: Bench) -> Round:
    bench.receiver.reset()
    with bench.site.held_callbacks():
        submitted = bench.site.fill(bench.effort.callbacks, callback_url=bench.receiver.url("callback"))
        wait_until(bench.site.has_no_unfinished_job, seconds=PATIENCE_SECONDS, what="every job is over")
    begun = time.monotonic()
    recorded_at = bench.site.wait_until_idle()
    bench.receiver.arrivals(submitted.jobs)
    bench.site.check(submitted)
    theirs = _bare(bench)
    return {"ours": len(submitted.jobs) / (recorded_at - begun), "theirs": theirs}


def _bare(bench: Bench) -> float:
    """The same bodies to the same receiver."""
    answer = ask(BARE, {"port": bench.receiver.port, "secret": bench.receiver.secret})
    rate: float = answer["per_second"]
    return rate
