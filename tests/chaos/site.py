"""A running product with everything a chaos test needs around it: handlers, endpoint, ledger, driver, crash points."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg

from jobservice.crash_points import FIRED
from jobservice.env import CONNECTIONS_FILE
from tests.chaos.driver import Driver
from tests.chaos.endpoint import Endpoint
from tests.chaos.handlers import LOG_VARIABLE
from tests.chaos.ledger import Ledger, find_faults, held_jobs, read_stored
from tests.chaos.orders import HTTP_TYPE
from tests.chaos.proxy import Proxy, proxying
from tests.journeys.product import Product, running, wait_until
from tests.journeys.receiver import receiving
from workers.supervisor.connections import OWNER, RUNTIME_ROLES, VARIABLES, change_login, read_connections
from workers.supervisor.embedded_postgres import SUPERUSER, SUPERUSER_PASSWORD_FILE

LEASE_SECONDS = 3.0
# A dead worker's job must run again so soon; by then the reaper has looked and the dispatcher has handed it out.
RECOVERY_SECONDS = LEASE_SECONDS + 5.0
# For a machine that is busy with other things; what must be fast is asserted by itself.
QUIET_SECONDS = 300.0
LOOK_SECONDS = 0.25


@dataclass
class Site:
    """One product of one module. `database_url` is a superuser's, for looking only."""

    product: Product
    endpoint: Endpoint
    ledger: Ledger
    driver: Driver
    points: Path
    database_url: str
    accepted_complaints: set[str] = field(default_factory=set)

    @property
    def connections(self) -> dict[str, str]:
        """The addresses that this start generated."""
        return read_connections(self.product.data_dir / CONNECTIONS_FILE)

    def arm(self, point: str, *, visit: int = 1) -> None:
        (self.points / FIRED / point).unlink(missing_ok=True)
        # Whole at once: a half-written file would be a first visit.
        written = self.points / FIRED / f"{point}.new"
        written.write_text(str(visit))
        written.rename(self.points / point)

    def has_fired(self, point: str) -> bool:
        return (self.points / FIRED / point).exists()

    def ask(self, statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def wait_until_quiet(self, *, seconds: float = QUIET_SECONDS) -> None:
        """Until every job is over or held, and every event is told."""
        wait_until(self._is_quiet, seconds=seconds, what="every job is over and told", log=self._describe_rest)

    def assert_nothing_is_lost(self) -> None:
        """When all is quiet: the invariants, what becomes of held jobs, and what the operator's doctor says."""
        self.assert_invariants_hold()
        self.let_held_jobs_go_on()
        self.product.wait_until_ready()
        wait_until(lambda: self._complaints() == [], seconds=60, what="doctor is content", log=self._describe_doctor)

    def assert_invariants_hold(self) -> None:
        self.wait_until_quiet()
        # The endpoint has seen a callback before the service has written so, and never the other way round.
        faults = find_faults(self.ledger, read_stored(self.database_url), self.endpoint)
        assert not faults, "\n".join(faults)

    def let_held_jobs_go_on(self) -> None:
        """Each of them ends as it was ordered, now that nothing dies any more.

        How many there are is not judged: it is chance that kills under one job three times, and it has more of a chance
        on a slow machine, where runs take longer.
        """
        live = read_stored(self.database_url).live
        for job in self.held_jobs():
            self.ledger.let_go[job] = live[job]["epoch"]
            self.driver.ask(f"/v1/jobs/{job}/retry")
        if self.ledger.let_go:
            self.assert_invariants_hold()

    def count_jobs(self, *states: str) -> int:
        """How many unfinished jobs are in one of these states."""
        return int(self.ask("SELECT count(*) FROM job_live WHERE state = ANY(%s)", list(states))[0][0])

    def live_workers(self, pool: str) -> int:
        """Workers of the pool that beat just now, still exist and are not about to end."""
        beat = "SELECT pid FROM worker WHERE pool = %s AND NOT is_draining AND seen_at > now() - interval '5 seconds'"
        rows = self.ask(beat, pool)
        return sum(Path(f"/proc/{pid}").exists() for (pid,) in rows)

    def wait_for_workers(self) -> None:
        """Until each pool has a worker: the API is ready before them, and one that was killed takes a moment."""
        wait_until(
            lambda: all(map(self.live_workers, ("handlers", "egress", "deliveries"))),
            seconds=QUIET_SECONDS,
            what="every pool has a worker",
            log=lambda: self.product.log,
        )

    def held_jobs(self) -> set[str]:
        return held_jobs(read_stored(self.database_url))

    def _is_quiet(self) -> bool:
        statement = """SELECT (SELECT count(*) FROM job_live WHERE state <> 'suspended'),
                              (SELECT count(*) FROM delivery_live)"""
        try:
            if self.ask(statement) == [(0, 0)]:
                return True
        except psycopg.OperationalError:
            pass
        # Each look is a login: it must not be what keeps the machine busy.
        time.sleep(LOOK_SECONDS)
        return False

    def _describe_rest(self) -> str:
        rows = self.ask("SELECT state, count(*), min(lease_until), now() FROM job_live GROUP BY 1")
        return f"{self.product.log}\n{rows}\n{self.ask('SELECT state, count(*) FROM delivery_live GROUP BY 1')}"

    def _complaints(self) -> list[Any]:
        answer = self.product.command("doctor", "--json")
        found = json.loads(answer.stdout) if answer.stdout.startswith("[") else [{"status": "problem"}]
        problems = [finding for finding in found if finding["status"] == "problem"]
        return [finding for finding in problems if finding.get("name") not in self.accepted_complaints]

    def _describe_doctor(self) -> str:
        return json.dumps(self._complaints(), indent=1)


@contextmanager
def running_site(folder: Path, *, seed: int = 0, database_url: str = "", **environment: str) -> Iterator[Site]:
    """A started site, with the settings that let processes die often and come back at once.

    `database_url` is the superuser's of a PostgreSQL that is not the embedded one.
    """
    points, handler_log = folder / "points", folder / "handlers.jsonl"
    (points / FIRED).mkdir(parents=True)
    with (
        running(folder / "var", **{**_settings(points, handler_log), **environment}) as product,
        receiving(Endpoint(_signing_secret(product))) as endpoint,
    ):
        _register_type(product, endpoint)
        ledger = Ledger(handler_log)
        driver = Driver(product, ledger, seed=seed)
        site = Site(product, endpoint, ledger, driver, points, database_url or superuser_url(product))
        site.wait_for_workers()
        yield site


@contextmanager
def running_site_behind_proxies(folder: Path, *, seed: int) -> Iterator[tuple[Site, dict[str, Proxy]]]:
    """A site whose processes reach PostgreSQL through a proxy for each role. A first start makes their logins."""
    with running(folder / "var"):
        connections = read_connections(folder / "var" / CONNECTIONS_FILE)
    with ExitStack() as stack:
        proxies = {
            role: stack.enter_context(proxying(lambda: _socket_folder(folder / "var"))) for role in RUNTIME_ROLES
        }
        urls = {
            VARIABLES[role]: connections[role].replace(_host(connections[role]), str(proxy.folder))
            for role, proxy in proxies.items()
        }
        yield stack.enter_context(running_site(folder, seed=seed, **urls)), proxies


def _settings(points: Path, handler_log: Path) -> dict[str, str]:
    return {
        "JOBSERVICE_HANDLERS": "tests.chaos.handlers",
        "JOBSERVICE_HANDLER_PROCESSES": "2",
        "JOBSERVICE_RESTART_BACKOFF_SECONDS": "0",
        "JOBSERVICE_LEASE_SECONDS": str(LEASE_SECONDS),
        "JOBSERVICE_STOP_GRACE_SECONDS": "2",
        "JOBSERVICE_CRASH_POINTS_DIR": str(points),
        LOG_VARIABLE: str(handler_log),
    }


def _socket_folder(data_dir: Path) -> str:
    return _host(read_connections(data_dir / CONNECTIONS_FILE)[OWNER])


def _host(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["host"]


def superuser_url(product: Product) -> str:
    """The embedded server's superuser, in the service's database."""
    owner_url = read_connections(product.data_dir / CONNECTIONS_FILE)[OWNER]
    password = (product.data_dir / SUPERUSER_PASSWORD_FILE).read_text().strip()
    return change_login(owner_url, user=SUPERUSER, password=password)


def until(condition: Callable[[], Any], *, seconds: float) -> bool:
    """Whether the condition held within this time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def _signing_secret(product: Product) -> str:
    status, answer = product.call("GET", "/v1/signing-secrets/default")
    assert status == 200, answer
    secret: str = answer["secret"]
    return secret


def _register_type(product: Product, endpoint: Endpoint) -> None:
    spec = {"executor": "http", "http": {"url": endpoint.url}}
    status, answer = product.call("PUT", f"/v1/job-types/{HTTP_TYPE}", spec)
    assert status in (200, 201), answer
