"""Reads that a console's pages are made of, from 1,000,000 jobs of one tenant: what the server takes for each.

In a database of its own, in a process that reads as the web does: under its role, through its selectors. Nothing is
written meanwhile. What is asked for is what the pages ask for: a page of 50, a chart, a ranking.
"""

from __future__ import annotations

from dataclasses import asdict

from tests.benchmarks.bench import Bench
from tests.benchmarks.children import ask
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.orders import ReadsOrder

PROCESS = "tests.benchmarks.reads_process"
TARGET_MS = 50.0


def measure(bench: Bench) -> list[Figure]:
    servers = bench.site.servers
    order = ReadsOrder(servers.superuser_url, servers.broker_url, jobs=bench.effort.read_jobs)
    found: dict[str, float] = ask(PROCESS, asdict(order))
    return [Figure(name=name, unit="ms", ours=took, target=at_most(TARGET_MS, "ms")) for name, took in found.items()]
