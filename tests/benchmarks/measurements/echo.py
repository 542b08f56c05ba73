"""Jobs finished per second by the handlers, from a backlog, against no-op tasks of Celery on the same broker."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Round, at_least_times, finished_per_second, medians
from tests.benchmarks.rivals.celery_worker import PROCESSES

RIVAL = f"Celery, prefork {PROCESSES}, no-op"


def measure(bench: Bench) -> list[Figure]:
    rounds = bench.rounds(lambda: _ours(bench), lambda: bench.raw.measure(bench.effort.raw_messages))
    found = medians(rounds)
    return [
        Figure(
            name="backlog filled, in bulk if possible",
            unit="jobs/s",
            ours=found["filled"],
            theirs=found["raw_enqueued"],
            rival=RIVAL,
            rounds=rounds,
        ),
        Figure(
            name="echo jobs finished, from a backlog",
            unit="/s",
            ours=found["finished"],
            theirs=found["raw_finished"],
            rival=RIVAL,
            target=at_least_times(3),
            rounds=rounds,
        ),
    ]


def _ours(bench: Bench) -> Round:
    with bench.site.held_dispatcher():
        submitted = bench.site.fill(bench.effort.backlog)
    bench.site.wait_until_idle()
    read = bench.site.check(submitted)
    return {"filled": submitted.rate, "finished": finished_per_second(read.times)}
