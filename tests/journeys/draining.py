"""Clients of a web process that is asked to stop: one that waits for a job's end, and those that keep a connection."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

import psycopg

from tests.chaos.site import superuser_url
from tests.journeys.product import Product

# A connection that nobody uses may be closed so soon by a web process that stops.
LINGER_SECONDS = 2.0


def has_waiter(product: Product) -> bool:
    """Whether a web process has looked for the end of a job for one who waits, as it does each second from then on."""
    looks = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT unfinished_jobs(%%' AND pid <> %s"
    with psycopg.connect(superuser_url(product), autocommit=True) as connection:
        return connection.execute(looks, [connection.info.backend_pid]).fetchone() is not None


class KeptConnection:
    """A client that keeps its connection, and never tries anything twice."""

    def __init__(self, product: Product) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
        self._used_at = time.monotonic()

    def __enter__(self) -> KeptConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> tuple[int, str]:
        """The status, and what the server says of the connection."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        self._used_at = time.monotonic()
        return answer.status, answer.headers.get("Connection", "")

    def last_word(self, path: str) -> tuple[int, str] | None:
        """Ask until the server does not keep the connection; None when the machine stood still and it was closed."""
        while True:
            used_at = self._used_at
            try:
                answer = self.get(path)
            except (OSError, http.client.HTTPException):
                if time.monotonic() - used_at < LINGER_SECONDS:
                    raise
                return None
            if answer != (200, "keep-alive"):
                return answer


class Waiting:
    """A client that waits for the end of a job, in a thread of its own."""

    def __init__(self, product: Product, job_id: str) -> None:
        self._product = product
        self._job_id = job_id
        self._answers: list[tuple[int, Any]] = []
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def answer(self, *, seconds: float) -> Any:
        self._thread.join(seconds)
        ((status, body),) = self._answers
        assert status == 200
        return body

    def _wait(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._product.port, timeout=60)
        headers = {"Authorization": f"Bearer {self._product.key}", "Prefer": "wait=30"}
        connection.request("GET", f"/v1/jobs/{self._job_id}", headers=headers)
        answer = connection.getresponse()
        self._answers.append((answer.status, json.loads(answer.read())))
        connection.close()
