"""The client that never gives up: every POST has an Idempotency-Key and is repeated until it is answered with 2xx.

Now and then it hangs up before the answer, as a client whose network broke; the repeated request is the same job.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from tests.chaos.ledger import Ledger
from tests.chaos.orders import Order
from tests.journeys.product import AWAY, Product

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.1
HANG_UP_SHARE = 0.03
# What a service in trouble may say; anything else is a fault of the service or of the driver.
TRY_AGAIN = {409, 429, 500, 502, 503, 504}


class Driver:
    """Submits orders and writes every acceptance into the ledger."""

    def __init__(self, product: Product, ledger: Ledger, *, seed: int) -> None:
        self._product = product
        self._key = product.key
        self._ledger = ledger
        self._seed = seed
        self.answers_lost = 0
        self.statuses: dict[int, int] = {}

    def submit(self, orders: Sequence[Order], *, hang_up: bool = False) -> list[str]:
        """One request with these orders, repeated until it is accepted; the ids of the jobs."""
        key = str(uuid.uuid4())
        path, body = "/v1/jobs", orders[0].body
        if len(orders) > 1:
            path, body = "/v1/jobs/bulk", {"mode": "atomic", "jobs": [order.body for order in orders]}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self._try(path, body, key, hang_up=hang_up)
            hang_up = False
            if answer is not None:
                job_ids = [answer["id"]] if "id" in answer else [row["job"]["id"] for row in answer["data"]]
                self._ledger.accept(key, list(orders), job_ids)
                return job_ids
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{path} was not accepted for {PATIENCE_SECONDS:.0f} s: {self._product.log[-2000:]}")

    def ask(self, path: str) -> Any:
        """One request without a body, repeated until it is answered with 2xx."""
        key, deadline = str(uuid.uuid4()), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self._try(path, {}, key, hang_up=False)
            if answer is not None:
                return answer
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{path} was not answered for {PATIENCE_SECONDS:.0f} s: {self._product.log[-2000:]}")

    def submit_all(self, orders: Sequence[Order], *, threads: int, seconds: float) -> list[str]:
        """Spread the orders over so many seconds and threads, alone and in bulks of up to ten; the ids of the jobs."""
        rng = random.Random(self._seed)
        requests = list(_cut(orders, rng))
        pause = seconds * threads / max(1, len(requests))
        job_ids: list[str] = []
        turns = iter(requests)
        lock = threading.Lock()

        def drive(own: random.Random) -> None:
            while True:
                with lock:
                    request = next(turns, None)
                if request is None:
                    return
                began = time.monotonic()
                found = self.submit(request, hang_up=own.random() < HANG_UP_SHARE)
                with lock:
                    job_ids.extend(found)
                time.sleep(max(0.0, began + pause * own.uniform(0.5, 1.5) - time.monotonic()))

        in_threads([partial(drive, random.Random(rng.random())) for _ in range(threads)])
        return job_ids

    def _try(self, path: str, body: Any, key: str, *, hang_up: bool) -> Any:
        """The answer to one try; None when there is none, or one that asks to come again."""
        connection = http.client.HTTPConnection("127.0.0.1", self._product.port, timeout=15)
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        try:
            connection.request("POST", path, json.dumps(body), headers)
            if hang_up:
                self.answers_lost += 1
                return None
            answer = connection.getresponse()
            content = answer.read()
        except AWAY:
            return None
        finally:
            connection.close()
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status in (200, 201):
            return json.loads(content)
        assert answer.status in TRY_AGAIN, (answer.status, content)
        return None


def in_threads(acts: Iterable[Callable[[], None]]) -> None:
    """Do all of it at once; raises what the first of them raised."""
    errors: list[BaseException] = []

    def guard(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 (raised again below)
            errors.append(error)

    threads = [threading.Thread(target=guard, args=[act], daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _cut(orders: Sequence[Order], rng: random.Random) -> Iterable[Sequence[Order]]:
    place = 0
    while place < len(orders):
        size = rng.randint(2, 10) if rng.random() < 0.1 else 1
        yield orders[place : place + size]
        place += size
