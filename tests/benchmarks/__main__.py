"""`make bench`: what one machine does, measured from outside on the whole product, every job verified.

Absolute figures move from machine to machine. The ratio compares an accepted job with an empty answer of the same
server in the same run: what authentication, sealing and one committed transaction cost on top of HTTP itself.
"""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

from tests.journeys.product import Product, running, wait_until

CLIENTS = 4
REQUESTS = 2_000
LIGHT_JOBS = 100
LIGHT_PER_SECOND = 50


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "var") as product:
        product.wait_for_end([product.submit(type="echo", payload=1) for _ in range(20)])
        empty = measure_requests(product, lambda client: call(client, "GET", "/healthz", None, ""))
        job_ids: list[str] = []
        started = time.monotonic()
        accepted = measure_requests(product, lambda client: job_ids.append(submit(client, product.key)))
        wait_until(lambda: count_completed(product) >= REQUESTS + 20, seconds=600, what="every job completed")
        whole = REQUESTS / (time.monotonic() - started)
        starts = measure_starts(product)
    assert len(set(job_ids)) == REQUESTS
    show("empty answers", empty)
    show("jobs accepted, one a request", accepted)
    print(f"accepted / empty answers        {rate(accepted) / rate(empty):8.2f}")
    print(f"jobs accepted and completed     {whole:8.0f} /s")
    p50, p99 = quantile(starts, 50), quantile(starts, 99)
    print(f"accept to start at {LIGHT_PER_SECOND}/s          p50 {p50:.0f} ms, p99 {p99:.0f} ms")


class Sample:
    """Durations of calls in seconds, and how long all of them took together."""

    def __init__(self, durations: list[float], elapsed: float) -> None:
        self.durations, self.elapsed = durations, elapsed


def measure_requests(product: Product, act: Callable[[http.client.HTTPConnection], Any]) -> Sample:
    """`REQUESTS` calls over `CLIENTS` kept connections at once."""

    def drive(requests: int) -> list[float]:
        client = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
        durations = []
        for _ in range(requests):
            begun = time.perf_counter()
            act(client)
            durations.append(time.perf_counter() - begun)
        client.close()
        return durations

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        durations = [duration for part in threads.map(drive, repeat(REQUESTS // CLIENTS, CLIENTS)) for duration in part]
    return Sample(durations, time.perf_counter() - begun)


def measure_starts(product: Product) -> list[float]:
    """Milliseconds from accept to start of jobs sent at an even, light rate, as the service itself recorded them."""
    client = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
    sent = []
    for _ in range(LIGHT_JOBS):
        sent.append(submit(client, product.key))
        time.sleep(1 / LIGHT_PER_SECOND)
    return [float(job["latency_ms"]) for job in product.wait_for_end(sent).values()]


def submit(client: http.client.HTTPConnection, key: str) -> str:
    """One job of 1 KB; its id."""
    answer = call(client, "POST", "/v1/jobs", {"type": "echo", "payload": "x" * 1000}, key)
    return str(answer["id"])


def call(client: http.client.HTTPConnection, method: str, path: str, body: Any, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    client.request(method, path, None if body is None else json.dumps(body), headers)
    response = client.getresponse()
    content = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path} answered {response.status}: {content[:200]!r}")
    return json.loads(content)


def count_completed(product: Product) -> int:
    """Counted through the API, page by page, so that what is counted is what a tenant sees."""
    count, cursor = 0, ""
    while True:
        _, page = product.call("GET", f"/v1/jobs?state=completed&limit=200{cursor}")
        count += len(page["data"])
        if page["next_cursor"] is None:
            return count
        cursor = f"&cursor={page['next_cursor']}"


def rate(sample: Sample) -> float:
    return len(sample.durations) / sample.elapsed


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def show(name: str, sample: Sample) -> None:
    milliseconds = [duration * 1000 for duration in sample.durations]
    p50, p99 = quantile(milliseconds, 50), quantile(milliseconds, 99)
    print(f"{name:<31} {rate(sample):8.0f} /s   p50 {p50:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    main()
