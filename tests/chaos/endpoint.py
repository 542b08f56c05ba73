"""A tenant's endpoint for the chaos tests: keeps what it was asked to run and what it was told, each one verified."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any

from tests.journeys.receiver import Receiver


class Endpoint(Receiver):
    """`run_epochs` maps a job's id to the epochs under which it was asked to run it, in order.

    It answers `job.run` after `think_seconds`; `payload.fail_times` attempts get a 500.
    """

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.think_seconds = 0.02
        self.run_epochs: dict[str, list[int]] = defaultdict(list)
        self._epochs_lock = threading.Lock()

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        status, answer = super().answer(body, headers)
        return (500, None) if answer == "fail" else (status, answer)

    def _run(self, data: dict[str, Any]) -> Any:
        with self._epochs_lock:
            self.run_epochs[data["job"]["id"]].append(data["epoch"])
        time.sleep(data["payload"].get("seconds", self.think_seconds))
        return "fail" if data["attempt"] <= data["payload"].get("fail_times", 0) else {"attempt": data["attempt"]}
