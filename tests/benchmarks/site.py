"""The running product under measurement, with its receiver: submit, hold, wait, verify."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from jobservice.ids import JOB, parse_id
from jobservice.jobs.notifier import CHANNEL
from tests.benchmarks.children import ask
from tests.benchmarks.cpu import backend_pids, cpu_seconds
from tests.benchmarks.effort import Effort
from tests.benchmarks.faults import CannotMeasure, NotThere, WrongWork
from tests.benchmarks.orders import Read, ReadOrder, SubmitOrder, Submitted
from tests.benchmarks.receiver import Receiver, running_receiver
from tests.benchmarks.servers import Servers, as_superuser, made_database
from tests.journeys.product import Product, running, wait_until

LOAD = "tests.benchmarks.load_process"
CONNECTIONS = 8
BULK = 100
WEB_WORKERS, WEB_THREADS, HANDLER_PROCESSES = 2, 8, 2
HTTP_TYPE = "bench.http"
PATIENCE_SECONDS = 120.0
# Bounds that would measure the bound: the rest of the quotas stays as every tenant has them.
_QUOTAS = ("requests_per_second=null", "open_jobs=1000000", "running=1000")


@dataclass(slots=True)
class Site:
    """What every measurement needs. `database` is a superuser's connection to the product's database."""

    servers: Servers
    product: Product
    receiver: Receiver
    database: psycopg.Connection
    database_url: str
    effort: Effort
    has_bulk: bool = False
    _next_number: int = 0

    def submit(
        self, jobs: int, *, per_request: int = 1, per_second: float | None = None, key: str | None = None, **job: Any
    ) -> Submitted:
        """Send jobs. Raises `WrongWork` when one was refused, and `NotThere` when there is no bulk."""
        if per_request > 1 and not self.has_bulk:
            raise NotThere("POST /v1/jobs/bulk")
        first, self._next_number = self._next_number, self._next_number + jobs
        order = SubmitOrder(
            host="127.0.0.1",
            port=self.product.port,
            key=key or self.product.key,
            jobs=jobs,
            first=first,
            connections=CONNECTIONS if per_request == 1 else CONNECTIONS // 2,
            per_request=per_request,
            per_second=per_second,
            job={"type": "echo", **job},
        )
        submitted = Submitted(**ask(LOAD, ["submit", asdict(order)]))
        if submitted.refusals or len(submitted.jobs) != jobs:
            raise WrongWork(f"{jobs - len(submitted.jobs)} of {jobs} jobs were not accepted: {submitted.refusals}")
        return submitted

    def fill(self, jobs: int, **job: Any) -> Submitted:
        """A backlog, in bulk when the product can."""
        return self.submit(jobs, per_request=BULK if self.has_bulk else 1, **job)

    def check(self, submitted: Submitted, *, key: str | None = None) -> Read:
        """Read every job over the API. Raises `WrongWork` unless all are completed, once, with the right result."""
        order = ReadOrder(
            host="127.0.0.1",
            port=self.product.port,
            key=key or self.product.key,
            connections=CONNECTIONS,
            jobs=list(submitted.jobs.items()),
        )
        read = Read(**ask(LOAD, ["read", asdict(order)]))
        if read.faults:
            raise WrongWork(f"{len(read.faults)} of {len(submitted.jobs)} jobs: {'; '.join(read.faults[:5])}")
        return read

    def make_tenant(self, name: str, *, weight: int = 1) -> str:
        """A tenant without the bounds that would be measured instead; its key."""
        made = self._command("create_tenant", name, "--json")
        self._command("set_quota", name, *_QUOTAS)
        self._command("set_weight", name, str(weight))
        return str(json.loads(made)["api_key"])

    def _command(self, *arguments: str) -> str:
        answer = self.product.command(*arguments)
        if answer.returncode:
            raise CannotMeasure(f"`manage.py {arguments[0]}` failed: {answer.stderr.strip()}")
        return answer.stdout

    def wait_until_idle(self) -> float:
        """Return when no job and no delivery is unfinished; the moment, in monotonic seconds."""
        wait_until(self._is_idle, seconds=PATIENCE_SECONDS, what="every job and callback is over", log=self._log)
        return time.monotonic()

    def count_first_begun(self, tenants: list[str], jobs: int) -> list[int]:
        """How many jobs of each tenant were among the first so many of all of them that began; all are over."""
        self.wait_until_idle()
        counts = self.database.execute(
            "SELECT first.name, count(*) FROM (SELECT tenant.name FROM job JOIN tenant ON tenant.id = job.tenant_id "
            "WHERE tenant.name = ANY (%s) ORDER BY job.first_started_at LIMIT %s) AS first GROUP BY first.name",
            [tenants, jobs],
        ).fetchall()
        found: dict[str, int] = dict(counts)
        return [found.get(name, 0) for name in tenants]

    def wait_until_over(self, job_ids: list[str]) -> None:
        """Return when each of these jobs is over, whatever else is under way."""
        ids = [parse_id(JOB, job_id) for job_id in job_ids]

        def are_over() -> bool:
            row = self.database.execute("SELECT count(*) FROM job_live WHERE job_id = ANY (%s)", [ids]).fetchone()
            return row == (0,)

        wait_until(are_over, seconds=PATIENCE_SECONDS, what="these jobs are over", log=self._log)

    @contextmanager
    def held_dispatcher(self) -> Iterator[None]:
        """Nothing is dispatched until the end of the block: what is accepted meanwhile is a backlog."""
        pids = self.product.pids("dispatcher")
        self._hold(pids)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def held_callbacks(self) -> Iterator[None]:
        """No callback of the first tenant is sent until the end of the block, as if its receivers had asked for rest.

        A receiver that made them wait instead would pass for a slow one, and would be sent few at once from then on.
        """
        self.database.execute(_REST)
        try:
            yield
        finally:
            self.database.execute("UPDATE delivery_health SET blocked_until = NULL")
            self.database.execute(f"NOTIFY {CHANNEL}")

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time so far, by kind of process."""
        own = {name: cpu_seconds(self.product.pids(name)) for name in ("web", "dispatcher", "handlers", "egress")}
        return {**own, "PostgreSQL": cpu_seconds(backend_pids(self.database))}

    def _hold(self, pids: list[int]) -> None:
        """Stopped between two transactions, so that it holds no lock meanwhile."""
        for _ in range(100):
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(0.02)
            if self._count(_DISPATCHER_BUSY) == 0:
                return
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            time.sleep(0.02)
        raise CannotMeasure("The dispatcher was never idle.")

    def has_no_unfinished_job(self) -> bool:
        return self._count("SELECT count(*) FROM job_live") == 0

    def _is_idle(self) -> bool:
        return self._count(_UNFINISHED) == 0

    def _count(self, query: str) -> int:
        if self.database.closed:
            self.database = psycopg.connect(self.database_url, autocommit=True)
        row = self.database.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _log(self) -> str:
        return self.product.log


_UNFINISHED = "SELECT (SELECT count(*) FROM job_live) + (SELECT count(*) FROM delivery_live)"
_REST = (
    "INSERT INTO delivery_health (target_id, tenant_id, blocked_until) SELECT id, id, 'infinity' FROM tenant "
    "WHERE name = 'demo' ON CONFLICT (target_id) DO UPDATE SET blocked_until = 'infinity'"
)
_DISPATCHER_BUSY = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'jobservice dispatcher' AND state <> 'idle'"
)


@contextmanager
def running_site(servers: Servers, effort: Effort) -> Iterator[Site]:
    """The product in its distributed form on these servers, warmed up."""
    name = f"jobservice_bench_{os.getpid()}"
    with (
        tempfile.TemporaryDirectory(prefix="jobservice-bench-") as folder,
        made_database(servers, name) as owner_url,
        running(Path(folder) / "var", **_environment(owner_url, servers)) as product,
        running_receiver(_signing_secret(product)) as receiver,
        psycopg.connect(url := as_superuser(servers, name), autocommit=True) as database,
    ):
        site = Site(servers, product, receiver, database, url, effort, has_bulk=_has_bulk(product))
        site._command("set_quota", "demo", *_QUOTAS)
        _put_http_type(site)
        begun = time.monotonic()
        _warm_up(site)
        if effort.judges:
            site.effort = effort.fit(time.monotonic() - begun)
        yield site


def _environment(owner_url: str, servers: Servers) -> dict[str, str]:
    return {
        "DATABASE_URL": owner_url,
        "BROKER_URL": servers.broker_url,
        "JOBSERVICE_WEB_WORKERS": str(WEB_WORKERS),
        "JOBSERVICE_WEB_THREADS": str(WEB_THREADS),
        "JOBSERVICE_HANDLER_PROCESSES": str(HANDLER_PROCESSES),
        # The defaults of a real start, which the product of the journeys shortens.
        "JOBSERVICE_LEASE_SECONDS": "30",
        "JOBSERVICE_STOP_GRACE_SECONDS": "5",
    }


def _signing_secret(product: Product) -> str:
    _, answer = product.call("GET", "/v1/signing-secrets/default")
    return str(answer["secret"])


def _has_bulk(product: Product) -> bool:
    """An empty list is refused where bulk is known, and not found where it is not."""
    status, _ = product.call("POST", "/v1/jobs/bulk", {"mode": "atomic", "jobs": []})
    return status not in (404, 405)


def _put_http_type(site: Site) -> None:
    spec = {"executor": "http", "http": {"url": site.receiver.url("run")}}
    status, answer = site.product.call("PUT", f"/v1/job-types/{HTTP_TYPE}", spec)
    if status >= 300:
        raise CannotMeasure(f"The http job type was refused: {answer}.")


def _warm_up(site: Site) -> None:
    """Pools, prepared statements and the worker's knowledge of run times, which decides how jobs are grouped."""
    site.receiver.reset()
    first = site.submit(site.effort.warm_up, callback_url=site.receiver.url("callback"))
    second = site.submit(max(site.effort.warm_up // 4, 1), type=HTTP_TYPE)
    site.wait_until_idle()
    site.check(first)
    site.check(second)
    site.receiver.arrivals({**first.jobs, **second.jobs})
