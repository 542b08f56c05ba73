"""DRF + Celery as a whole service, running: gunicorn with our number of workers and threads, and a prefork worker."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psycopg

from tests.benchmarks.children import ask, held_group, running_child
from tests.benchmarks.cpu import backend_pids, cpu_seconds, group_pids
from tests.benchmarks.faults import CannotMeasure, WrongWork
from tests.benchmarks.orders import SubmitOrder, Submitted
from tests.benchmarks.receiver import Receiver
from tests.benchmarks.rivals.celery_worker import broker_environment, running_worker
from tests.benchmarks.servers import PYTHON, ROOT, Servers, made_database, python_environment
from tests.benchmarks.site import CONNECTIONS, LOAD, PATIENCE_SECONDS, WEB_THREADS, WEB_WORKERS
from tests.journeys.product import wait_until
from tests.ports import free_port

PACKAGE = "tests.benchmarks.rivals.drf_service"
NAME = "DRF + Celery"
# Far from the product's own numbers: a payload says whose it is.
_FIRST_NUMBER = 50_000_000


@dataclass(slots=True)
class DrfService:
    """The rival's doors, alike to those of `Site`."""

    port: int
    web_pid: int
    worker_pid: int
    database: psycopg.Connection
    receiver: Receiver
    next_number: int = _FIRST_NUMBER

    def submit(self, jobs: int, *, per_second: float | None = None, callback_url: str | None = None) -> Submitted:
        """As `Site.submit`."""
        first, self.next_number = self.next_number, self.next_number + jobs
        order = SubmitOrder(
            host="127.0.0.1",
            port=self.port,
            jobs=jobs,
            first=first,
            connections=CONNECTIONS,
            per_second=per_second,
            job={"type": "echo"} if callback_url is None else {"type": "echo", "callback_url": callback_url},
        )
        submitted = Submitted(**ask(LOAD, ["submit", asdict(order)]))
        if submitted.refusals or len(submitted.jobs) != jobs:
            raise WrongWork(f"{NAME} did not accept every job: {submitted.refusals}")
        return submitted

    def wait_until_idle(self) -> float:
        """The moment when every row is completed, in monotonic seconds."""
        wait_until(self._is_idle, seconds=PATIENCE_SECONDS, what=f"{NAME} has done every job")
        return time.monotonic()

    def wait_for_callbacks(self, count: int) -> None:
        wait_until(lambda: self.receiver.count() >= count, seconds=PATIENCE_SECONDS, what=f"{NAME} told of every job")

    def check(self, submitted: Submitted) -> list[float]:
        """Milliseconds from insert to start of each. Raises `WrongWork` unless every job has its own result."""
        rows = self.database.execute(
            "SELECT extract(epoch FROM started_at - created_at)::float * 1000 FROM task "
            "WHERE id = ANY(%s::uuid[]) AND state = 'completed' AND result = payload",
            [list(submitted.jobs)],
        ).fetchall()
        if len(rows) != len(submitted.jobs):
            raise WrongWork(f"{NAME} lost or spoilt {len(submitted.jobs) - len(rows)} jobs.")
        return [float(row[0]) for row in rows]

    @contextmanager
    def held_worker(self) -> Iterator[None]:
        """Nothing is run until the end of the block."""
        with held_group(self.worker_pid):
            yield

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its processes."""
        own = [*group_pids(self.web_pid), *group_pids(self.worker_pid)]
        return cpu_seconds([*own, *backend_pids(self.database)])

    def _is_idle(self) -> bool:
        row = self.database.execute("SELECT count(*) FROM task WHERE state <> 'completed'").fetchone()
        return row is not None and row[0] == 0


@contextmanager
def running_drf_service(servers: Servers, receiver: Receiver, *, warm_up: int) -> Iterator[DrfService]:
    """Both processes on a database of their own, warm."""
    with made_database(servers, f"jobservice_bench_rival_{os.getpid()}") as database_url:
        environment = {
            **broker_environment(servers, "bench-drf"),
            "BENCH_DATABASE_URL": database_url,
            "BENCH_SECRET": receiver.secret,
            "DJANGO_SETTINGS_MODULE": f"{PACKAGE}.settings",
        }
        _migrate(environment)
        port = free_port()
        with (
            running_child(*_gunicorn(port), **environment) as web,
            running_worker(f"{PACKAGE}.celery", **environment) as worker,
            psycopg.connect(database_url, autocommit=True) as database,
        ):
            wait_until(lambda: _answers(port), seconds=PATIENCE_SECONDS, what=f"{NAME} answers")
            service = DrfService(port, web.pid, worker.pid, database, receiver)
            receiver.reset()
            first = service.submit(warm_up, callback_url=receiver.url("callback"))
            service.wait_until_idle()
            service.wait_for_callbacks(warm_up)
            service.check(first)
            receiver.arrivals(first.jobs)
            receiver.reset()
            yield service


def _gunicorn(port: int) -> list[str]:
    options = ["-k", "gthread", "-w", str(WEB_WORKERS), "--threads", str(WEB_THREADS), "--log-level", "warning"]
    shared = ["--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
    return ["-m", "gunicorn", *options, *shared, "-b", f"127.0.0.1:{port}", f"{PACKAGE}.wsgi:application"]


def _migrate(environment: dict[str, str]) -> None:
    answer = subprocess.run(
        [PYTHON, "-m", "django", "migrate", "--run-syncdb"],
        cwd=ROOT,
        env=python_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise CannotMeasure(f"{NAME} has no tables: {answer.stderr.strip()[-500:]}")


def _answers(port: int) -> bool:
    with suppress(URLError, ConnectionError):
        try:
            urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
        except HTTPError:
            return True
    return False
