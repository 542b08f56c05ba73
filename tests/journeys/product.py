"""The product as an operator starts it: `manage.py up` in a folder of its own, driven over HTTP and by signals."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.metering import Series, parse_metrics
from tests.moving_clock import MovingClock
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 180.0
# What one look counts of a wait at most.
LOOK_SECONDS = 5.0

# What a client sees while the web process is away, or is killed in the middle of an answer.
AWAY = (OSError, http.client.HTTPException)

# How each process of the product is told apart on the command line.
PATTERNS: Mapping[str, str] = {
    "web": r"gunicorn",
    "dispatcher": r"manage\.py dispatcher",
    "handlers": r"manage\.py worker handlers",
    "egress": r"manage\.py worker egress",
    "valkey": r"valkey-server",
    "postgres": r"bin/postgres -",
    "fill": r"manage\.py fill_demo",
}


def wait_until(condition: Callable[[], Any], *, seconds: float, what: str, log: Callable[[], str] = str) -> Any:
    """The first truthy answer of the condition; fails with `what`, and the end of `log`, when it has none in time."""
    # A machine that stood still, or an answer that hung, uses up a part of the patience only.
    clock = MovingClock(most_seconds=LOOK_SECONDS)
    while True:
        is_over = clock.look() >= seconds
        if answer := condition():
            return answer
        if is_over:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{log()[-3000:]}")
        time.sleep(0.05)


@dataclass
class Product:
    """A running product. `data_dir` outlives a stop, so that it can be started again."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    supervisor: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.data_dir / "up.log").read_text(errors="replace")

    @property
    def key(self) -> str:
        return (self.data_dir / "demo-api-key").read_text().strip()

    def start(self) -> None:
        """Start it and wait until it is ready and its banner is printed."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBSERVICE_")}
        for name in ("DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_CURRENT_TEST"):
            kept.pop(name, None)
        environment = {
            **kept,
            "PORT": str(self.port),
            "JOBSERVICE_DATA_DIR": str(self.data_dir),
            "JOBSERVICE_LEASE_SECONDS": "3",
            "JOBSERVICE_STOP_GRACE_SECONDS": "5",
            # What a journey has ended again and again need not be waited for longer each time.
            "JOBSERVICE_RESTART_BACKOFF_SECONDS": "0",
            # Jobs that a journey did not make would be in its way.
            "JOBSERVICE_DEMO": "off",
            **self.environment,
        }
        with (self.data_dir / "up.log").open("ab") as log:
            log.write(b"=== start\n")
            log.flush()
            self.supervisor = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_until(self._is_started, seconds=START_SECONDS, what="ready", log=lambda: self.log)

    def _is_started(self) -> bool:
        assert self.supervisor is not None
        if self.supervisor.poll() is not None:
            raise AssertionError(f"ended with {self.supervisor.returncode}:\n{self.log[-3000:]}")
        return "jobservice is ready at" in self.log.split("=== start\n")[-1]

    def stop(self) -> int:
        """Stop it as Ctrl-C does; the exit code."""
        assert self.supervisor is not None
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(signal.SIGINT)
        return self.supervisor.wait(timeout=60)

    def pids(self, name: str | None = None) -> list[int]:
        """The processes of one name, parents first; of all names without one."""
        pattern = re.compile(PATTERNS[name] if name else "|".join(PATTERNS.values()))
        return [pid for pid, command in self._family() if pattern.search(command)]

    def await_pid(self, name: str) -> int:
        """The parent of one name's processes, which the supervisor may be about to start anew."""
        pids: list[int] = wait_until(lambda: self.pids(name), seconds=60, what=f"{name} runs", log=lambda: self.log)
        return pids[0]

    def _family(self) -> Iterator[tuple[int, str]]:
        """Every process that names this product's data folder, or the folder of its broker's socket, oldest first."""
        mark = f"JOBSERVICE_DATA_DIR={self.data_dir}".encode()
        folders = {str(self.data_dir), *re.findall(r"socket://(/.*)/", self._broker_url())}
        found: list[tuple[int, int, str]] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                is_ours = mark in (folder / "environ").read_bytes() or any(text in command for text in folders)
                # What follows the name in parentheses: the state, and as the 20th field the moment of its start.
                facts = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if is_ours and facts[0] != "Z":
                found.append((int(facts[19]), int(folder.name), command))
        # Not by number alone: the numbers begin anew when all are used up.
        for _, pid, command in sorted(found):
            yield pid, command

    def _broker_url(self) -> str:
        path = self.data_dir / "connections.json"
        return str(json.loads(path.read_text()).get("broker", "")) if path.exists() else ""

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Status and parsed answer of one request; with the demo tenant's key unless another is given."""
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def submit(self, **job: Any) -> str:
        """Submit a job, trying again while the service is away, as a client would; its id."""

        def attempt() -> str | None:
            try:
                status, answer = self.call("POST", "/v1/jobs", job)
            except AWAY:
                return None
            assert status in (201, 503), answer
            return answer["id"] if status == 201 else None

        job_id: str = wait_until(attempt, seconds=60, what="the job is accepted")
        return job_id

    def wait_until_ready(self) -> None:
        """Wait for `/readyz`: after a kill, what was killed is on its way back."""

        def is_ready() -> bool:
            try:
                return self.call("GET", "/readyz")[0] == 200
            except AWAY:
                return False

        wait_until(is_ready, seconds=60, what="ready again", log=lambda: self.log)

    def job(self, job_id: str, include: str = "") -> dict[str, Any]:
        query = f"?include={include}" if include else ""
        status, answer = self.call("GET", f"/v1/jobs/{job_id}{query}")
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def wait_for_end(self, job_ids: list[str], *, seconds: float = 60.0) -> dict[str, dict[str, Any]]:
        """Wait until every job is terminal; all of them by id."""
        ended: dict[str, dict[str, Any]] = {}

        def all_ended() -> bool:
            for job_id in job_ids:
                if job_id not in ended:
                    try:
                        job = self.job(job_id)
                    except (*AWAY, AssertionError):
                        return False
                    if job["finished_at"] is None:
                        return False
                    ended[job_id] = job
            return True

        wait_until(all_ended, seconds=seconds, what=f"{len(job_ids)} jobs are over", log=lambda: self.log)
        return ended

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the operator's commands beside the running product."""
        child = self.begin_command(*arguments)
        try:
            stdout, stderr = child.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)

    def begin_command(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, and do not wait for its end."""
        environment = {**os.environ, "JOBSERVICE_DATA_DIR": str(self.data_dir), **self.environment}
        for name in ("DATABASE_URL", "BROKER_URL"):
            if name not in self.environment:
                environment.pop(name, None)
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def scrape(product: Product) -> Series:
    """Every metric, as the operator's scraper reads them from this machine."""
    with urllib.request.urlopen(product.address + "/metrics", timeout=30) as answer:
        return parse_metrics(answer.read().decode())


def value(series: Series, name: str, **labels: str) -> float:
    """One series by its name without the prefix; 0 when it has none."""
    return series.get((f"jobservice_{name}", frozenset(labels.items())), 0.0)


@contextmanager
def running(data_dir: Path, **environment: str) -> Iterator[Product]:
    """A started product, ended at the end of the block however it ends."""
    product = Product(data_dir, environment=environment)
    try:
        product.start()
        yield product
    finally:
        if product.supervisor is not None and product.supervisor.poll() is None:
            product.stop()
