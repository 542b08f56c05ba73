"""The measurement's side of the receiver: starts it, asks what arrived, and judges it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.faults import CannotMeasure, WrongWork
from tests.benchmarks.servers import PYTHON, ROOT, python_environment, stop_child
from workers.supervisor.launch import wrap_command


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver. Instants are monotonic seconds."""

    port: int
    secret: str

    def url(self, path: str) -> str:
        """`run` or `callback`."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def reset(self) -> None:
        """Forget what arrived."""
        self._ask("reset")

    def count(self) -> int:
        found: int = self._ask("count")["count"]
        return found

    def arrivals(self, expected: Mapping[str, int]) -> dict[str, float]:
        """When each job's one request arrived, by job id.

        Raises `WrongWork` unless every job of `expected` (id → number) was sent once, rightly signed, with its own
        payload, and nothing else was.
        """
        return judge_arrivals(self._ask("report"), expected)

    def _ask(self, order: str) -> Any:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            client.request("POST", f"/control/{order}")
            return json.loads(client.getresponse().read())
        finally:
            client.close()


def judge_arrivals(report: list[dict[str, Any]], expected: Mapping[str, int]) -> dict[str, float]:
    """As `Receiver.arrivals`, from what the receiver reported. Pure."""
    faults = [row["fault"] for row in report if "fault" in row]
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in report:
        if "fault" not in row:
            rows[row["job"]].append(row)
    faults += [f"{job_id} was told {len(found)} times" for job_id, found in rows.items() if len(found) > 1]
    faults += [f"{job_id} is nobody's" for job_id in rows.keys() - expected.keys()]
    faults += [f"{job_id} was never told" for job_id in expected.keys() - rows.keys()]
    faults += [
        f"{job_id} came with another payload"
        for job_id, found in rows.items()
        if job_id in expected and found[0]["number"] != expected[job_id]
    ]
    if len({row["webhook_id"] for found in rows.values() for row in found}) != sum(map(len, rows.values())):
        faults.append("a webhook-id came more than once")
    if faults:
        raise WrongWork(f"{len(faults)} faults at the receiver: {'; '.join(faults[:5])}")
    return {job_id: found[0]["at"] for job_id, found in rows.items()}


@contextmanager
def running_receiver(secret: str) -> Iterator[Receiver]:
    """A receiver that knows the tenant's signing secret."""
    child = subprocess.Popen(
        wrap_command([PYTHON, "-m", "tests.benchmarks.receiver_process"], death_signal=signal.SIGKILL),
        cwd=ROOT,
        env=python_environment(BENCH_SECRET=secret),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        if not line:
            raise CannotMeasure("The receiver did not start; its lines above say why.")
        yield Receiver(int(line), secret)
    finally:
        stop_child(child)
