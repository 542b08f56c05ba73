"""A filled database in use is migrated: nobody waits longer than they may, and what was cut short is run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import migrate as django_migrate
from django.db import OperationalError, connection
from psycopg import errors

from jobservice.env import ConfigurationError
from tests.stopwatch import Stopwatch
from tests.workers.prepared import PreparedDatabase, new_database
from workers.management.commands import migrate

pytestmark = pytest.mark.deep

BEFORE = (("tenants", "0012_filled_tables"), ("jobs", "0017_statistics"))
INDEXES = ("job_of_error", "job_of_type", "job_followers", "job_type_search", "job_queue_search")
# What the web's role waits for a lock before it refuses; see tenants/sql/roles.sql.
WEB_PATIENCE_SECONDS = 2.0
JOBS = 40_000

INSERT = """
INSERT INTO job (id, tenant_id, type, executor, handler, queue, pool, priority, max_attempts, timeout_seconds, retry,
                 payload_id, payload_bytes, run_at, final_state, finished_at, end_event_id, error_code)
SELECT (left(replace(uuid7_at(at)::text, '-', ''), 12) || right(md5(random()::text), 20))::uuid, tenant.id, 'echo',
       'handler', 'echo', 'default', 'handlers', 5, 3, 60, '{}', gen_random_uuid(), 9, at, %s
"""
# Over jobs of last week, which are in the default partition, and of the weeks to come.
FILL = (
    "INSERT INTO tenant (id, name) VALUES (gen_random_uuid(), 'acme')",
    INSERT % "'cancelled', at, gen_random_uuid(), 'cancelled'"
    + f"""FROM tenant, generate_series(1, {JOBS}) AS n,
          LATERAL (SELECT clock_timestamp() + (n % 28 - 7) * interval '1 day' AS at) AS moment""",
)
# The locks of an accept, in its order: the lane, then the job, then its living half.
ACCEPT = (
    "LOCK TABLE lane, share IN ROW SHARE MODE",
    INSERT % "NULL, NULL, NULL, NULL" + "FROM tenant, clock_timestamp() AS at",
    "LOCK TABLE job_live IN ROW EXCLUSIVE MODE",
)


@pytest.fixture
def database(tmp_path: Path, django_db_setup: None) -> Iterator[PreparedDatabase]:
    """Filled, and as the migrations before these left it."""
    with new_database(tmp_path) as database:
        for app, name in BEFORE:
            done = database.command("migrate", app, name)
            assert done.returncode == 0, done.stderr
        with superuser(database) as connection:
            run(connection, FILL)
        yield database


def superuser(database: PreparedDatabase) -> psycopg.Connection[Any]:
    path = urlsplit(database.owner_url).path
    url = urlsplit(settings.ENVIRONMENT.database_urls["owner"])._replace(path=path).geturl()
    return psycopg.connect(url, autocommit=True)


def run(connection: psycopg.Connection[Any], statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


@contextmanager
def accepts_going_on(database: PreparedDatabase) -> Iterator[list[float]]:
    """One after another; the seconds that each took on a machine that moves. They wait longer than the web's would,
    for the server counts the moments too in which the machine stood still. Any that is refused is raised.
    """
    seconds: list[float] = []
    is_over = Event()

    def go_on() -> None:
        with superuser(database) as connection:
            connection.execute("SET lock_timeout = '60s'")
            while not is_over.wait(0.01):
                with Stopwatch() as watch, connection.transaction():
                    run(connection, ACCEPT)
                seconds.append(watch.moving_seconds)

    with ThreadPoolExecutor(1) as threads:
        accepts = threads.submit(go_on)
        try:
            yield seconds
        finally:
            is_over.set()
            accepts.result(timeout=90)


@contextmanager
def in_background(act: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(act)


def await_value(connection: psycopg.Connection[Any], query: str) -> Any:
    for _ in range(1200):
        if row := connection.execute(query.encode()).fetchone():
            return row[0]
        time.sleep(0.05)
    raise AssertionError(f"nothing came of {query}")


def await_more(seconds: list[float], count: int) -> None:
    for _ in range(1200):
        if len(seconds) > count:
            return
        time.sleep(0.05)
    raise AssertionError(f"no more than {len(seconds)} accepts")


def assert_is_migrated(database: PreparedDatabase) -> None:
    """Every partition has a part of each index, all of them good, and no migration is left to apply."""
    assert database.command("migrate", "--check").returncode == 0
    with superuser(database) as connection:
        broken = connection.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
        assert broken == []
        row = connection.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'job'::regclass").fetchone()
        for index in INDEXES:
            parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(%s)"
            assert connection.execute(parts, [index]).fetchone() == row, index
        policies = """SELECT tablename FROM pg_policies
                      WHERE policyname = 'operator' AND tablename = ANY (%s) ORDER BY 1"""
        tables = ["data_key", "job_live", "lane", "share", "tenant_usage"]
        assert connection.execute(policies, [tables]).fetchall() == [(table,) for table in tables]


def test_accepts_go_on_beside_a_transaction_that_stays_open(database: PreparedDatabase) -> None:
    with (
        superuser(database) as slow,
        superuser(database) as observer,
        accepts_going_on(database) as seconds,
        in_background(lambda: database.command("migrate")) as migrating,
    ):
        with slow.transaction():
            slow.execute("SELECT FROM job LIMIT 1")
            # Past one time that the migration waited and gave way, and so many accepts, into the next.
            waits = f"""SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
                        AND {slow.info.backend_pid} = ANY (pg_blocking_pids(pid))"""
            await_value(observer, waits)
            before = len(seconds)
            await_value(observer, f"SELECT 1 WHERE NOT EXISTS ({waits})")
            await_more(seconds, before + 20)
            await_value(observer, waits)
        done = migrating.result(timeout=300)
        assert done.returncode == 0, done.stderr
    assert "gave way" in done.stdout
    assert max(seconds) < WEB_PATIENCE_SECONDS
    assert_is_migrated(database)


def test_what_was_cut_short_is_run_again(database: PreparedDatabase) -> None:
    with superuser(database) as observer, superuser(database) as old:
        with old.transaction():
            # A build ends only when there is nobody left who may see rows as they were before it.
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1")
            with in_background(lambda: database.command("migrate")) as migrating:
                builder = await_value(
                    observer,
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                    "AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'",
                )
                observer.execute("SELECT pg_terminate_backend(%s)", [builder])
                assert migrating.result(timeout=300).returncode != 0
        assert await_value(observer, "SELECT 1 FROM pg_index WHERE NOT indisvalid AND indrelid <> 'job'::regclass")
        # What the dispatcher makes meanwhile has the index by its parent's.
        assert observer.execute("SELECT make_partitions(6)").fetchone() != (0,)
    done = database.command("migrate")
    assert done.returncode == 0, done.stderr
    assert_is_migrated(database)


def test_policies_may_be_given_twice(database: PreparedDatabase) -> None:
    assert database.command("migrate").returncode == 0
    with superuser(database) as connection:
        # And what came after them, which depends on them.
        forgotten = """DELETE FROM django_migrations
            WHERE app = 'tenants' AND name >= '0014_operator_policies'
               OR app = 'jobs' AND name >= '0024_operator_policies'"""
        assert connection.execute(forgotten).rowcount >= 2
    done = database.command("migrate")
    assert done.returncode == 0, done.stderr
    assert_is_migrated(database)


@pytest.mark.django_db
def test_a_table_that_is_never_free_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    def wait(*_arguments: Any, **_options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            waits.append(cursor.fetchone())
        raise OperationalError from errors.LockNotAvailable()

    monkeypatch.setattr(django_migrate.Command, "handle", wait)
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0)
    with pytest.raises(ConfigurationError, match="in 20 tries"):
        call_command("migrate", verbosity=0)
    assert waits == [(migrate.LOCK_TIMEOUT,)] * 20
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
