"""A healthy tenant's callbacks beside hundreds of endpoints that are dead, silent, dripping or endless: real sockets.

Their tenants' events go on all the time. What is measured: from the end of a healthy job to its callback's arrival,
first without them and then with them, and what the egress process holds meanwhile.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.journeys.product import ROOT, Product, wait_until
from tests.journeys.receiver import Receiver, receiving
from tests.moving_clock import MovingClock
from workers.supervisor.launch import wrap_command

KINDS = ("dead", "silent", "dripping", "endless")
# As many as a tenant may have.
ENDPOINTS_EACH = 50
PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Effect:
    """What the hostile ones did to a healthy tenant, and to the process that serves both."""

    alone_seconds: list[float] = field(repr=False)
    beside_seconds: list[float] = field(repr=False)
    # How long the machine stood still meanwhile.
    stood_still: float
    growth_bytes: int
    most_in_flight: int


class TimedReceiver(Receiver):
    """Keeps how long after its job's end each callback came."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.seconds: dict[str, float] = {}

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        came_at = time.time()
        answer = super().answer(body, headers)
        event = json.loads(body)
        delay = came_at - datetime.fromisoformat(event["timestamp"]).timestamp()
        self.seconds.setdefault(event["data"]["job"]["id"], delay)
        return answer


def measure_hostiles(product: Product, *, endpoints: int, seconds: float, in_flight: int = 1) -> Effect:
    """Each half takes `seconds`, the second from when `in_flight` hostile ones are held open at once.

    Raises `AssertionError` when a healthy callback does not come, or comes twice, or they never are.
    """
    _, answer = product.call("GET", "/v1/signing-secrets/default")
    with receiving(TimedReceiver(answer["secret"])) as receiver, _running_hostiles() as hostiles:
        _send_jobs(product, receiver, seconds=2.0)
        alone = _send_jobs(product, receiver, seconds=seconds)
        keys = _make_tenants(product, -(-endpoints // ENDPOINTS_EACH))
        with ThreadPoolExecutor(len(keys)) as threads:
            list(threads.map(lambda number: _make_endpoints(product, hostiles, keys, number), range(len(keys))))
        before = _resident_bytes(product)
        with _events_flowing(product, keys):
            wait_until(lambda: _counts(hostiles)["peak"] >= in_flight, seconds=120, what="hostile endpoints are called")
            clock = MovingClock(most_seconds=1.0)
            beside = _send_jobs(product, receiver, seconds=seconds, clock=clock)
            after = _resident_bytes(product)
        counts = _counts(hostiles)
        assert not receiver.refused, receiver.refused[:3]
        return Effect(alone, beside, clock.stood_still, after - before, counts["peak"])


def _send_jobs(
    product: Product, receiver: TimedReceiver, *, seconds: float, clock: MovingClock | None = None
) -> list[float]:
    """The delays of a light load's callbacks."""
    jobs: list[str] = []
    clock = clock or MovingClock()
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        clock.look()
        jobs.append(product.submit(type="echo", payload=len(jobs), callback_url=receiver.url))
        time.sleep(max(0.0, begun + len(jobs) / PER_SECOND - time.monotonic()))

    def has_all() -> bool:
        clock.look()
        return set(receiver.seconds) >= set(jobs)

    wait_until(has_all, seconds=60, what="each healthy callback came")
    told = [sum(receiver.callbacks[job].values()) for job in jobs]
    assert told == [1] * len(jobs), told
    return [receiver.seconds[job] for job in jobs]


def _make_tenants(product: Product, count: int) -> list[str]:
    """Their keys. All by one process, whose start takes longer than all that it does."""
    program = f"""
from tenants.tenancy import create_tenant
for number in range({count}):
    print("key=" + create_tenant(f"hostile-{{number}}").api_key)
"""
    made = product.command("shell", "-c", program)
    keys = re.findall(r"^key=(\S+)$", made.stdout, re.MULTILINE)
    assert len(keys) == count, made.stderr
    return keys


def _make_endpoints(product: Product, hostiles: dict[str, str], keys: list[str], number: int) -> None:
    """As many as this tenant may have, for its every event."""
    for at in range(ENDPOINTS_EACH):
        url = f"{hostiles[KINDS[at % len(KINDS)]]}/{number}-{at}"

        def is_made(url: str = url) -> bool:
            return product.call("POST", "/v1/webhook-endpoints", {"url": url}, key=keys[number])[0] == 201

        wait_until(is_made, seconds=30, what="an endpoint was made")


@contextmanager
def _events_flowing(product: Product, keys: list[str]) -> Iterator[None]:
    """A job of each tenant every other second, and so an event for each of its endpoints."""
    is_over = threading.Event()

    def submit() -> None:
        while not is_over.wait(2.0):
            for key in keys:
                product.call("POST", "/v1/jobs", {"type": "echo"}, key=key)

    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=30)


@contextmanager
def _running_hostiles() -> Iterator[dict[str, str]]:
    """The beginning of the URLs of each kind."""
    child = subprocess.Popen(
        wrap_command([sys.executable, "-m", "tests.journeys.hostile_process"], death_signal=signal.SIGKILL),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    with socket.socket() as dead:
        # Bound, but nobody listens.
        dead.bind(("127.0.0.1", 0))
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            urls = {kind: f"http://127.0.0.1:{port}/{kind}" for kind in (*KINDS, "counts")}
            yield {**urls, "dead": f"http://127.0.0.1:{dead.getsockname()[1]}"}
        finally:
            child.kill()
            child.communicate()


def _counts(hostiles: dict[str, str]) -> dict[str, int]:
    with urllib.request.urlopen(hostiles["counts"], timeout=30) as answer:
        found: dict[str, int] = json.loads(answer.read())
        return found


def _resident_bytes(product: Product) -> int:
    status = Path(f"/proc/{product.await_pid('egress')}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
