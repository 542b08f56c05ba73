"""What the running product costs while nobody asks anything of it: processor time per second, by kind of process."""

from __future__ import annotations

import time

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure


def measure(bench: Bench) -> list[Figure]:
    before = bench.site.cpu_seconds()
    begun = time.monotonic()
    time.sleep(bench.effort.idle_seconds)
    seconds = time.monotonic() - begun
    spent = {part: (after - before[part]) * 1000 / seconds for part, after in bench.site.cpu_seconds().items()}
    whole = Figure(name="processor time when idle", unit="ms/s", ours=sum(spent.values()), rounds=[spent])
    parts = [Figure(name=f"  of it {part}", unit="ms/s", ours=value, rounds=[spent]) for part, value in spent.items()]
    return [whole, *parts]
