"""Everything is restarted, again and again, under load: no request fails, no job is lost, none is told of twice.

`RESTARTS=10` does it ten times.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.journeys.product import Product, running, wait_until
from tests.journeys.receiver import Receiver, connected_receiver

RESTARTS = int(os.environ.get("RESTARTS", "2"))
RESTART_SECONDS = 180.0
RECEIVER_SECONDS = 0.5
# A connection that was not used for longer may have been closed by a web process that stops.
KEPT_SECONDS = 1.5
JOBS: tuple[dict[str, Any], ...] = (
    {"type": "echo", "payload": "short"},
    {"type": "sleep", "payload": {"seconds": 1.0}},
    {"type": "text.count", "payload": {"text": "some words"}},
    {"type": "sleep", "payload": {"seconds": 1.8}},
)


class Client:
    """Submits a job and reads it, over and over, without ever trying anything again; every answer is noted.

    `keeps`: over one connection for as long as the server keeps it, else over a new one for each request.
    """

    def __init__(self, product: Product, receiver: Receiver, *, keeps: bool, pause_seconds: float) -> None:
        self.accepted: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self._product = product
        self._receiver = receiver
        self._keeps = keeps
        self._pause_seconds = pause_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._used_at = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(90)
        assert not self._thread.is_alive()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        number = 0
        while not self._is_over.is_set():
            job = {**JOBS[number % len(JOBS)], "callback_url": self._receiver.url}
            number += 1
            answer = self._ask("POST", "/v1/jobs", job)
            if answer is not None and "id" in answer:
                self.accepted.append(answer["id"])
                self._ask("GET", f"/v1/jobs/{answer['id']}")
            self._is_over.wait(self._pause_seconds)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = self._take_connection()
        headers = {"Authorization": f"Bearer {self._product.key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.faults.append(f"{method} {path.split('job_')[0]}: {error!r}")
            connection.close()
            return None
        self.statuses[answer.status] += 1
        if self._keeps and not answer.will_close:
            self._connection, self._used_at = connection, time.monotonic()
        else:
            connection.close()
        return content

    def _take_connection(self) -> http.client.HTTPConnection:
        """The one that is kept, if it was used just now."""
        kept, self._connection = self._connection, None
        if kept is not None and time.monotonic() - self._used_at < KEPT_SECONDS:
            return kept
        if kept is not None:
            kept.close()
        return http.client.HTTPConnection("127.0.0.1", self._product.port, timeout=60)


@contextmanager
def load(product: Product, receiver: Receiver) -> Iterator[list[Client]]:
    """Two clients at once, until the block is over."""
    clients = [
        Client(product, receiver, keeps=True, pause_seconds=0.6),
        Client(product, receiver, keeps=False, pause_seconds=0.9),
    ]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stop()


def restart(product: Product, *, number: int) -> None:
    """Ask as an operator does, and wait until the supervisor says that it is done."""
    assert product.supervisor is not None
    old = [pid for name in ("web", "dispatcher", "handlers", "egress") for pid in product.pids(name)]
    product.supervisor.send_signal(signal.SIGHUP)
    wait_until(
        lambda: product.log.count("rolling restart done in") == number or "the rolling restart ends" in product.log,
        seconds=RESTART_SECONDS,
        what=f"restart {number} is done",
        log=lambda: product.log,
    )
    assert "the rolling restart ends" not in product.log
    now = product.pids()
    assert not [pid for pid in old if pid in now]


def test_a_rolling_restart_under_load_fails_no_request_and_no_job(tmp_path: Path) -> None:
    # Leases so long that a job which is lost on the way is late; slots for what two clients submit.
    settings = {"JOBSERVICE_LEASE_SECONDS": "60", "JOBSERVICE_HANDLER_PROCESSES": "4"}
    # Nor is anything given up that ends in a moment, though the machine stands still meanwhile.
    settings["JOBSERVICE_STOP_GRACE_SECONDS"] = "60"
    with running(tmp_path / "var", **settings) as product, connected_receiver(product) as receiver:
        receiver.pause_seconds = RECEIVER_SECONDS
        with load(product, receiver) as clients:
            for number in range(1, RESTARTS + 1):
                time.sleep(1)
                restart(product, number=number)
            time.sleep(1)
        assert [fault for client in clients for fault in client.faults] == []
        assert {status for client in clients for status in client.statuses} == {200, 201}
        accepted = [job_id for client in clients for job_id in client.accepted]
        assert len(accepted) > 10 * RESTARTS
        assert_all_completed(product, receiver, accepted)


def assert_all_completed(product: Product, receiver: Receiver, job_ids: list[str]) -> None:
    ended = product.wait_for_end(job_ids, seconds=45)
    assert Counter((job["state"], job["crash_count"]) for job in ended.values()) == {("completed", 0): len(job_ids)}
    wait_until(lambda: set(receiver.callbacks) >= set(job_ids), seconds=30, what="every callback arrived")
    told = Counter(receiver.callbacks[job_id].total() for job_id in job_ids)
    assert told == {1: len(job_ids)}
    assert receiver.refused == []
    assert set(receiver.runs.values()) == {1}
    assert product.command("doctor").returncode == 0
