"""A steady load of so many jobs a second, in groups, with reads of payloads beside it; every answer is noted."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.journeys.product import AWAY, Product

BULK = 20
READERS = 2
# A transaction in which nothing is said for so long is ended by the server: on a machine that stood still.
IDLE_SECONDS = 5.0


class SteadyLoad:
    """`jobs` are those accepted, in order: the number of each is in its payload."""

    def __init__(self, product: Product, *, per_second: float) -> None:
        self.jobs: list[str] = []
        self.reads = 0
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self._product = product
        self._pause_seconds = BULK / per_second
        self._is_over = threading.Event()

    def submit(self) -> None:
        """On the clock: who was late is not late for ever, but catches up no more than a second."""
        due = time.monotonic()
        while not self._is_over.is_set():
            begin = len(self.jobs)
            jobs = [{"type": "echo", "payload": {"n": begin + place}} for place in range(BULK)]
            answer = self._ask("POST", "/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs})
            if answer is not None:
                self.jobs += [entry["job"]["id"] for entry in answer["data"]]
            due = max(due + self._pause_seconds, time.monotonic() - 1.0)
            self._is_over.wait(max(0.0, due - time.monotonic()))

    def read(self, seed: int) -> None:
        chooser = random.Random(seed)
        while not self._is_over.is_set():
            if self.jobs:
                self._read_one(chooser.randrange(len(self.jobs)))
            self._is_over.wait(0.02)

    def stop(self) -> None:
        self._is_over.set()

    def check_results(self) -> None:
        """Read the payload and the result of every job; whatever is wrong is one of `faults`."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._read_end, range(len(self.jobs))))

    def _read_one(self, number: int) -> None:
        answer = self._ask("GET", f"/v1/jobs/{self.jobs[number]}?include=payload,result")
        self.reads += 1
        if answer is not None and answer["payload"] != {"n": number}:
            self.faults.append(f"job {number} has the payload {answer['payload']}")

    def _read_end(self, number: int) -> None:
        job = self._ask("GET", f"/v1/jobs/{self.jobs[number]}?include=payload,result")
        if job is not None:
            end = [job[name] for name in ("state", "crash_count", "error", "payload", "result")]
            if end != ["completed", 0, None, {"n": number}, {"n": number}]:
                self.faults.append(f"job {number} ended as {json.dumps(end)}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        began = time.monotonic()
        try:
            status, answer = self._product.call(method, path, body)
        except AWAY as error:
            self.faults.append(f"{method}: {error!r}")
            return None
        if status == 503 and time.monotonic() - began >= IDLE_SECONDS:
            return None
        self.statuses[status] += 1
        if status != 200:
            self.faults.append(f"{method}: {status} {answer}")
            return None
        return answer


@contextmanager
def steady_load(product: Product, *, per_second: float) -> Iterator[SteadyLoad]:
    """Under way until the end of the block."""
    load = SteadyLoad(product, per_second=per_second)
    threads = [threading.Thread(target=load.submit)]
    threads += [threading.Thread(target=load.read, args=[seed]) for seed in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join(timeout=60)
