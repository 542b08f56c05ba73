"""The life of `manage.py up`: check, start in order, watch and restart, stop in order.

1. Check the folder and the given addresses; take the folder's lock; open the port, which outlives every web process;
   start the guard.
2. PostgreSQL, then Valkey, each until it answers; then `manage.py prepare`: migrations, keys, logins, first tenant.
3. The service's own processes, all at once; when the web answers `/readyz` and the others say that they are ready, the
   banner.
4. Restart what ends, and on SIGHUP one program after another, until a signal asks to stop; a second Ctrl-C kills.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jobservice.env import ConfigurationError, Environment
from jobservice.metric_folder import MetricFolder
from jobservice.ready import say_ready
from tenants.links import console_url
from workers.supervisor import preflight, provision
from workers.supervisor.banner import Welcome, write_banner
from workers.supervisor.children import ChildSpec
from workers.supervisor.connections import BROKER, OWNER, is_given, read_connections, write_connections
from workers.supervisor.demo_fill import is_fill_wanted
from workers.supervisor.embedded_postgres import EmbeddedPostgres
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.family import OWN_NAME, POLL_SECONDS, Family, StopRequested
from workers.supervisor.first_tenant import key_path, read_first_key, read_first_link
from workers.supervisor.folders import make_runtime_folder, prepare_data_folder, remove_runtime_folder
from workers.supervisor.guard import Guard
from workers.supervisor.logs import LogStream
from workers.supervisor.plan import Plan, is_embedded, plan_operator_command, plan_postgres, plan_program, plan_valkey
from workers.supervisor.readiness import Site, describe_site
from workers.supervisor.rolling_restart import restart_programs
from workers.supervisor.signals import Signals

PREPARE, FILL_DEMO = "prepare", "fill_demo"
IDLE_SECONDS = 1.0
DATABASE_SECONDS = 120.0
BROKER_SECONDS = 30.0
SLOW_START_SECONDS = 30.0
# How long the banner waits for the others once the web answers.
READY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What one run of everything has in hand: the port's socket, the folder for sockets, the data folder's lock."""

    environment: Environment
    plan: Plan
    listener: socket.socket
    runtime: Path
    lock: int


def run_supervisor(environment: Environment, *, plan: Plan | None = None, stream: IO[bytes] | None = None) -> int:
    """Run everything until a signal; returns the exit status: 0 after an ordered stop, 1 after a kill.

    Raises `ConfigurationError`, with everything stopped again, when a setting or this machine does not allow a start.
    """
    if sys.platform != "linux":
        raise ConfigurationError("`manage.py up` runs on Linux only; elsewhere start each process yourself.")
    prepare_data_folder(environment.data_dir)
    lock = preflight.lock_data_folder(environment.data_dir)
    try:
        _forget_metrics(environment.metrics_dir)
        with preflight.open_port(environment.host, environment.port) as listener:
            _check_addresses(environment)
            runtime = make_runtime_folder()
            preflight.note_holder(lock, runtime)
            try:
                launch = Launch(environment, plan or Plan(), listener, runtime, lock)
                return _run_guarded(launch, stream or sys.stdout.buffer)
            finally:
                remove_runtime_folder(runtime)
    finally:
        os.close(lock)


def _forget_metrics(folder: Path) -> None:
    """Counters begin anew with the service; a folder that cannot be used is each process's own complaint."""
    try:
        MetricFolder(folder).wipe()
    except OSError:
        return


def _check_addresses(environment: Environment) -> None:
    if is_given(OWNER):
        provision.check_database(environment.database_urls[OWNER])
    if is_given(BROKER):
        preflight.check_broker(environment.broker_url)


def _run_guarded(launch: Launch, stream: IO[bytes]) -> int:
    """Start, watch, stop. Whatever happens in between, everything is stopped before it returns or raises."""
    log = LogStream(stream)
    with Signals() as signals:
        guard = Guard(runtime_folder=str(launch.runtime), lock_descriptor=launch.lock)
        family = Family(
            guard=guard,
            signals=signals,
            log=log,
            longest_backoff_seconds=launch.environment.restart_backoff_seconds,
        )
        run = _Run(launch, family=family, log=log)
        is_clean = True
        try:
            run.start()
            run.watch(signals)
        except StopRequested:
            log.write(OWN_NAME, "not everything had started yet")
        finally:
            is_clean = run.stop()
            guard.dismiss()
        return 0 if is_clean else 1


class _Run:
    """One start of everything, from the database to the banner."""

    def __init__(self, launch: Launch, *, family: Family, log: LogStream) -> None:
        self._environment = launch.environment
        self._plan = launch.plan
        self._listener = launch.listener
        self._runtime = launch.runtime
        self._family = family
        self._log = log
        self._new_key = ""

    def start(self) -> None:
        path = self._environment.connections_path
        stored = read_connections(path)
        made: dict[str, str] = {}
        if not is_given(OWNER):
            made[OWNER] = self._start_postgres(self._runtime / "pg", stored=stored)
        if not is_given(BROKER):
            made[BROKER] = self._start_valkey(self._runtime / "mq")
        # `prepare` connects as the owner; the roles' old passwords stay until they are known to work or not.
        write_connections(path, {**stored, **made})
        self._prepare()
        for spec in self._program_specs():
            self._family.start(spec)

    def watch(self, signals: Signals) -> None:
        """Keep everything running until a signal.

        Greet once the web answers and the first job would be taken, and only then restart when asked.
        """
        site = describe_site(self._environment.host, self._environment.port, self._environment.allowed_hosts)
        is_greeted, warn_at, answers_at = False, time.monotonic() + SLOW_START_SECONDS, 0.0
        while not signals.stop_requests:
            self._family.tend(IDLE_SECONDS if is_greeted else POLL_SECONDS)
            if not is_greeted and not signals.stop_requests and (answers_at or self._answers(site)):
                answers_at = answers_at or time.monotonic()
                missing = self._find_missing()
                if not missing or time.monotonic() - answers_at > min(READY_SECONDS, self._plan.ready_seconds):
                    self._family.end_start()
                    self._greet(site, missing)
                    is_greeted = True
            if is_greeted and signals.take_restart_request():
                self._restart_programs()
            if not is_greeted and time.monotonic() > warn_at:
                self._log.write(OWN_NAME, f"{site.address}/readyz does not answer 200 yet; the lines above say why")
                warn_at += SLOW_START_SECONDS

    def stop(self) -> bool:
        self._log.write(OWN_NAME, "stopping; Ctrl-C again kills")
        # From now on connections are refused rather than kept waiting for nobody.
        self._listener.close()
        return self._family.stop()

    def _start_postgres(self, socket_dir: Path, *, stored: dict[str, str]) -> str:
        postgres = EmbeddedPostgres(self._environment.data_dir, socket_dir, durable=self._plan.is_durable)
        postgres.init()
        self._family.start_and_await(plan_postgres(postgres), postgres.is_ready, seconds=DATABASE_SECONDS)
        return provision.prepare_owner(postgres.superuser_url, stored_url=stored.get(OWNER, ""))

    def _start_valkey(self, folder: Path) -> str:
        valkey = EmbeddedValkey(folder)
        self._family.start_and_await(plan_valkey(valkey), lambda _pid: valkey.is_ready(), seconds=BROKER_SECONDS)
        return valkey.url

    def _prepare(self) -> None:
        """One process for all of it: to start a Python and load the service takes longer than the work."""
        key = read_first_key(self._environment)
        self._family.run_once(self._prepare_spec())
        if (kept := read_first_key(self._environment)) != key:
            self._new_key = kept

    def _prepare_spec(self) -> ChildSpec:
        return plan_operator_command((PREPARE,), self._environment, plan=self._plan)

    def _program_specs(self) -> list[ChildSpec]:
        listener = self._listener.fileno()
        return [
            plan_program(program, self._environment, plan=self._plan, listener=listener)
            for program in self._plan.programs
        ]

    def _answers(self, site: Site) -> bool:
        """Asked only once a web process accepts: before, the question would wait in the port's queue."""
        names = [program.name for program in self._plan.programs if program.listens]
        return all(self._family.has_ready(name) for name in names) and site.is_ready()

    def _restart_programs(self) -> None:
        try:
            restart_programs(
                self._family,
                prepare=self._prepare_spec(),
                programs=self._program_specs(),
                ready_seconds=self._plan.ready_seconds,
                log=self._log,
            )
        except StopRequested:
            self._log.write(OWN_NAME, "the rolling restart was not finished")

    def _find_missing(self) -> list[str]:
        """The programs that have not said yet that they are ready."""
        return [program.name for program in self._plan.programs if not self._family.has_ready(program.name)]

    def _greet(self, site: Site, missing: list[str]) -> None:
        welcome = Welcome(
            address=site.address,
            key_path=key_path(self._environment),
            new_key=self._new_key,
            console=console_url(self._environment),
            new_link=read_first_link(self._environment),
            allows_loopback=self._environment.egress_allow is None,
            missing=tuple(missing),
        )
        self._log.write_plain(write_banner(welcome))
        say_ready(self._environment.notify_socket)
        if is_embedded() and is_fill_wanted(self._environment):
            self._family.run_beside(plan_operator_command((FILL_DEMO,), self._environment, plan=self._plan))
