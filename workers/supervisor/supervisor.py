"""The life of `manage.py up`: check, start in order, watch and restart, stop in order.

1. Check the folder, the port and the given addresses; take the folder's lock; start the guard.
2. PostgreSQL, then Valkey, each until it answers; then `manage.py prepare`: migrations, keys, logins, first tenant.
3. The service's own processes, all at once; when the web answers `/readyz`, the banner.
4. Restart what ends, until a signal asks to stop; a second Ctrl-C kills.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO

from jobservice.env import ConfigurationError, Environment
from jobservice.metric_folder import MetricFolder
from workers.supervisor import preflight, provision
from workers.supervisor.banner import Welcome, write_banner
from workers.supervisor.connections import BROKER, OWNER, is_given, read_connections, write_connections
from workers.supervisor.embedded_postgres import EmbeddedPostgres
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.family import OWN_NAME, POLL_SECONDS, Family, StopRequested
from workers.supervisor.first_tenant import key_path, read_first_key
from workers.supervisor.folders import make_runtime_folder, prepare_data_folder, remove_runtime_folder
from workers.supervisor.guard import Guard
from workers.supervisor.logs import LogStream
from workers.supervisor.plan import Plan, plan_operator_command, plan_postgres, plan_program, plan_valkey
from workers.supervisor.readiness import Site, describe_site
from workers.supervisor.signals import Signals

PREPARE = "prepare"
IDLE_SECONDS = 1.0
DATABASE_SECONDS = 120.0
BROKER_SECONDS = 30.0
SLOW_START_SECONDS = 30.0


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
        _check_addresses(environment)
        runtime = make_runtime_folder()
        preflight.note_holder(lock, runtime)
        try:
            return _run_guarded(environment, plan or Plan(), stream or sys.stdout.buffer, runtime=runtime, lock=lock)
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
    preflight.check_port(environment.host, environment.port)
    if is_given(OWNER):
        provision.check_database(environment.database_urls[OWNER])
    if is_given(BROKER):
        preflight.check_broker(environment.broker_url)


def _run_guarded(environment: Environment, plan: Plan, stream: IO[bytes], *, runtime: Path, lock: int) -> int:
    """Start, watch, stop. Whatever happens in between, everything is stopped before it returns or raises."""
    log = LogStream(stream)
    with Signals() as signals:
        guard = Guard(runtime_folder=str(runtime), lock_descriptor=lock)
        run = _Run(environment, plan=plan, family=Family(guard=guard, signals=signals, log=log), log=log)
        is_clean = True
        try:
            run.start(runtime)
            run.watch(signals)
        except StopRequested:
            log.write(OWN_NAME, "not everything had started yet")
        finally:
            is_clean = run.stop()
            guard.dismiss()
        return 0 if is_clean else 1


class _Run:
    """One start of everything, from the database to the banner."""

    def __init__(self, environment: Environment, *, plan: Plan, family: Family, log: LogStream) -> None:
        self._environment = environment
        self._plan = plan
        self._family = family
        self._log = log
        self._new_key = ""

    def start(self, runtime: Path) -> None:
        path = self._environment.connections_path
        stored = read_connections(path)
        made: dict[str, str] = {}
        if not is_given(OWNER):
            made[OWNER] = self._start_postgres(runtime / "pg", stored=stored)
        if not is_given(BROKER):
            made[BROKER] = self._start_valkey(runtime / "mq")
        # `prepare` connects as the owner; the roles' old passwords stay until they are known to work or not.
        write_connections(path, {**stored, **made})
        self._prepare()
        for program in self._plan.programs:
            self._family.start(plan_program(program, self._environment, plan=self._plan))

    def watch(self, signals: Signals) -> None:
        """Keep everything running until a signal; greet once the web answers."""
        site = describe_site(self._environment.host, self._environment.port, self._environment.allowed_hosts)
        is_greeted, warn_at = False, time.monotonic() + SLOW_START_SECONDS
        while not signals.stop_requests:
            self._family.tend(IDLE_SECONDS if is_greeted else POLL_SECONDS)
            if not is_greeted and not signals.stop_requests and site.is_ready():
                self._greet(site)
                is_greeted = True
            if not is_greeted and time.monotonic() > warn_at:
                self._log.write(OWN_NAME, f"{site.address}/readyz does not answer 200 yet; the lines above say why")
                warn_at += SLOW_START_SECONDS

    def stop(self) -> bool:
        self._log.write(OWN_NAME, "stopping; Ctrl-C again kills")
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
        self._family.run_once(plan_operator_command((PREPARE,), self._environment, plan=self._plan))
        if (kept := read_first_key(self._environment)) != key:
            self._new_key = kept

    def _greet(self, site: Site) -> None:
        welcome = Welcome(
            address=site.address,
            key_path=key_path(self._environment),
            new_key=self._new_key,
            allows_loopback=self._environment.egress_allow is None,
        )
        self._log.write_plain(write_banner(welcome))
