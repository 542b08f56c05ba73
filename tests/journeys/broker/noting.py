"""Starts a noting worker over a real broker, sends it notes, and reads what it wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amqp.exceptions import NotFound
from celery import Celery
from kombu import Connection

NOTE, READY = "note", "ready"
ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60.0


@dataclass
class NotingWorker:
    """`broker_url` is the broker's own address, whatever way the worker takes to it."""

    broker_url: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    queue: str = field(default_factory=lambda: f"noting-{uuid.uuid4().hex}")

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def losses(self) -> int:
        """How often Celery has connected anew."""
        return self.log.count("Connection to broker lost")

    def consumers(self) -> int:
        """How many consumers the broker counts; none without the queue."""
        with Connection(self.broker_url) as connection:
            channel: Any = connection.channel()
            try:
                return int(channel.queue_declare(self.queue, passive=True).consumer_count)
            except NotFound:
                return 0

    def send(self, *texts: str, seconds: float = 0.0) -> None:
        """Messages for a queue that exists; `seconds` is how long each takes."""
        with Celery("sender", broker=self.broker_url, set_as_current=False) as app:
            for text in texts:
                app.send_task(NOTE, args=[text, seconds], queue=self.queue, ignore_result=True)

    def wait_until(self, condition: Callable[[], Any], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            is_in_time = time.monotonic() < deadline and (self.process is None or self.process.poll() is None)
            assert is_in_time, f"not within {seconds:.0f} s: {what}\n{self.log[-3000:]}"
            time.sleep(0.05)

    def wait_for_notes(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> None:
        self.wait_until(lambda: set(texts) <= set(self.notes), what=f"{len(texts)} notes", seconds=seconds)

    def delete_queue(self) -> None:
        with Connection(self.broker_url) as connection:
            channel: Any = connection.channel()
            channel.queue_delete(self.queue)


@contextmanager
def noting_worker(
    folder: Path, broker_url: str, pool: str, *, by: str = "", heartbeat_seconds: int = 10, harm: str = "do_nothing"
) -> Iterator[NotingWorker]:
    """A worker that has consumed; `by` is the way it takes to the broker, if not the straight one."""
    worker = NotingWorker(broker_url, folder)
    arguments = [pool, worker.queue, str(folder / "notes"), str(heartbeat_seconds), harm]
    with (folder / "log").open("wb") as log:
        worker.process = subprocess.Popen(
            [sys.executable, "-m", "tests.journeys.broker.noting_worker", *arguments],
            cwd=ROOT,
            env={**os.environ, "BROKER_URL": by or broker_url, "JOBSERVICE_PROCESS": "worker"},
            stdout=log,
            stderr=log,
        )
    try:
        worker.wait_until(lambda: READY in worker.notes, what="the worker consumes")
        yield worker
    finally:
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(PATIENCE_SECONDS)
        worker.delete_queue()
