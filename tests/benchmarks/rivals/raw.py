"""Celery alone, measured: messages sent per second, and no-op tasks finished per second from a backlog."""

from __future__ import annotations

import mmap
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.children import ask, held_group
from tests.benchmarks.faults import WrongWork
from tests.benchmarks.rivals.celery_worker import broker_environment, running_worker
from tests.benchmarks.servers import Servers
from tests.journeys.product import wait_until

MODULE = "tests.benchmarks.rivals.raw_celery"
MOST_MESSAGES = 1_000_000
PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.002


@dataclass(slots=True)
class RawCelery:
    """A running worker of the no-op task. `hold` stops it and its children for a block."""

    marks: mmap.mmap
    environment: dict[str, str]
    pid: int
    next_number: int = 0

    def enqueue(self, count: int) -> float:
        """Send so many messages from one process; per second."""
        first, self.next_number = self.next_number, self.next_number + count
        seconds: float = ask(MODULE, [first, count], **self.environment)["seconds"]
        return (count - 1) / seconds

    def wait_until_done(self) -> float:
        """The moment when every message has run. Raises `WrongWork` when one is lost or ran twice."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.marks.find(b"\0", 0, self.next_number) >= 0:
            if time.monotonic() > deadline:
                raise WrongWork("Celery lost a message.")
            time.sleep(_LOOK_SECONDS)
        done_at = time.monotonic()
        if self.marks[: self.next_number] != b"\1" * self.next_number:
            raise WrongWork("Celery ran a message twice.")
        return done_at

    def measure(self, count: int) -> dict[str, float]:
        """Send while the worker stands still, then let it go."""
        with held_group(self.pid):
            enqueued = self.enqueue(count)
            begun = time.monotonic()
        return {"raw_enqueued": enqueued, "raw_finished": count / (self.wait_until_done() - begun)}


@contextmanager
def running_raw_celery(servers: Servers) -> Iterator[RawCelery]:
    """The worker, warm."""
    with tempfile.TemporaryDirectory(prefix="jobservice-bench-") as folder:
        path = Path(folder) / "marks"
        path.write_bytes(bytes(MOST_MESSAGES))
        environment = {**broker_environment(servers, "bench-raw"), "BENCH_MARKS": str(path)}
        with (
            path.open("r+b") as file,
            mmap.mmap(file.fileno(), 0) as marks,
            running_worker(MODULE, **environment) as worker,
        ):
            raw = RawCelery(marks, environment, worker.pid)
            raw.enqueue(100)
            wait_until(lambda: marks[99] == 1, seconds=PATIENCE_SECONDS, what="Celery's worker runs")
            raw.wait_until_done()
            yield raw
