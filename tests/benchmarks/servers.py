"""The servers a measurement runs on: those the environment names, else a durable PostgreSQL and a Valkey of its own.

Nothing is ever measured in somebody's database: each run makes databases of its own, and drops them at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.benchmarks.faults import CannotMeasure
from workers.supervisor.connections import RUNTIME_ROLES
from workers.supervisor.embedded_postgres import EmbeddedPostgres
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.folders import make_runtime_folder, remove_runtime_folder
from workers.supervisor.provision import prepare_owner

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL (as a superuser) and the broker answer."""

    superuser_url: str = field(repr=False)
    broker_url: str = field(repr=False)

    @property
    def broker_name(self) -> str:
        """The kind of broker, without its address."""
        scheme = urlsplit(self.broker_url).scheme
        return {"redis+socket": "Valkey (embedded)", "amqp": "RabbitMQ", "amqps": "RabbitMQ", "pyamqp": "RabbitMQ"}.get(
            scheme, "Redis or Valkey"
        )


@contextmanager
def running_servers() -> Iterator[Servers]:
    """`DATABASE_URL` (a superuser's, who may make databases) and `BROKER_URL`; what is not set is started here."""
    given_database, given_broker = os.environ.get("DATABASE_URL", ""), os.environ.get("BROKER_URL", "")
    with ExitStack() as stack:
        runtime = make_runtime_folder()
        stack.callback(remove_runtime_folder, runtime)
        database = given_database or stack.enter_context(_durable_postgres(runtime / "pg"))
        broker = given_broker or stack.enter_context(_valkey(runtime / "mq"))
        if given_database:
            _check_superuser(given_database)
        yield Servers(database, broker)


@contextmanager
def made_database(servers: Servers, name: str) -> Iterator[str]:
    """A new database with a plain role as its owner, both gone at the end; the owner's address."""
    _drop_database(servers, name)
    try:
        yield prepare_owner(servers.superuser_url, database=name)
    finally:
        _drop_database(servers, name)


def as_superuser(servers: Servers, database: str) -> str:
    """The superuser's address of a database: it sees every tenant's rows, to count and to verify."""
    return urlsplit(servers.superuser_url)._replace(path=f"/{database}").geturl()


def show_setting(servers: Servers, name: str) -> str:
    """A setting of the PostgreSQL server, as `SHOW` says it."""
    with psycopg.connect(servers.superuser_url, autocommit=True) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    return str(row[0]) if row else ""


@contextmanager
def _durable_postgres(socket_dir: Path) -> Iterator[str]:
    """The embedded server as `make run` starts it: what is committed is on the disk."""
    # Not TemporaryDirectory: at the interpreter's exit its own finalizer could remove the folder under the server.
    folder = Path(tempfile.mkdtemp(prefix="jobservice-bench-"))
    try:
        postgres = EmbeddedPostgres(folder, socket_dir, durable=True)
        postgres.init()
        postgres.start()
        try:
            postgres.wait_ready(seconds=PATIENCE_SECONDS)
            yield postgres.superuser_url
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    valkey = EmbeddedValkey(folder)
    server = subprocess.Popen(
        valkey.command(), env=valkey.environment, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not valkey.is_ready():
            if server.poll() is not None or time.monotonic() > deadline:
                raise CannotMeasure("Valkey did not start; its lines above say why.")
            time.sleep(0.05)
        yield valkey.url
    finally:
        stop_child(server)


def stop_child(child: subprocess.Popen[bytes], *, seconds: float = 20.0) -> None:
    """End a process that was started here: asked first, then killed."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _check_superuser(url: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    except psycopg.Error:
        raise CannotMeasure("DATABASE_URL: the database cannot be reached.") from None
    if not (row and row[0]):
        raise CannotMeasure("DATABASE_URL: name a superuser here, who may make and drop the databases of a run.")


def _drop_database(servers: Servers, name: str) -> None:
    roles = [f"{name}_{role}" for role in (*RUNTIME_ROLES, "owner")]
    with psycopg.connect(servers.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in roles:
            with suppress(psycopg.errors.DependentObjectsStillExist):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def python_environment(**variables: str) -> dict[str, str]:
    """This process's environment for a child, without any setting of the service but those given."""
    others = {"DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE"}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("JOBSERVICE_") and name not in others
    }
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]), **variables}


ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = sys.executable
