"""Changes of tables that are in use, as operations of migrations with `atomic = False`.

There each operation is a transaction of its own, on one table: it holds no lock while it waits for another one, so that
nobody waits in a circle, and it gives way after the lock timeout of `manage.py migrate`. A migration that failed in the
middle is run again from its beginning, so each operation leaves be what is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError
from django.db.migrations import RunPython
from django.db.migrations.operations.base import Operation
from psycopg import errors

from jobservice.env import ConfigurationError

# An index that is built concurrently waits for transactions that are older, and nobody waits for it meanwhile.
BUILD_PATIENCE = "10min"

# Partitions of a table that have no part of its index yet.
_WITHOUT_INDEX = """
SELECT p.inhrelid::regclass::text FROM pg_inherits p
WHERE p.inhparent = to_regclass(%(table)s) AND NOT EXISTS (
  SELECT FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid
  WHERE i.inhparent = to_regclass(%(name)s) AND x.indrelid = p.inhrelid)
ORDER BY 1
"""
_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%(table)s)"
_IS_BROKEN = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(name)s)"


def add_column(table: str, definition: str) -> Operation:
    """Add a column that is null in every row: at once, however large the table is, unless there is a CHECK with it."""
    return _operation(lambda run: run(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {definition}"))


def build_index(name: str, *, on: str, rows: str) -> Operation:
    """Build an index while its table is written; `rows` is what follows the table's name: `(columns) WHERE …`.

    Of a partitioned table the index is made without its partitions first, which takes no time; partitions that are made
    from then on have it by themselves. Then each of the older ones gets its part, `<name>_<end of the other's name>`.
    """

    def build(run: Any) -> None:
        if run(_IS_PARTITIONED, table=on) != [(True,)]:
            _build(run, name, on, rows)
            return
        run(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {on} {rows}")
        for (partition,) in run(_WITHOUT_INDEX, table=on, name=name):
            part = f"{name}_{partition.removeprefix(f'{on}_')}"
            _build(run, part, partition, rows)
            run(f"ALTER INDEX {name} ATTACH PARTITION {part}")

    return _operation(build)


def _build(run: Any, name: str, table: str, rows: str) -> None:
    """What a build that was cut short left is of no use, and stands in the way of the next one."""
    with _patience(run):
        if run(_IS_BROKEN, name=name) == [(True,)]:
            run(f"DROP INDEX CONCURRENTLY {name}")
        run(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} {rows}")


@contextmanager
def _patience(run: Any) -> Iterator[None]:
    """The lock timeout is as before at the end; after an error it is set anew by whoever tries again."""
    ((usual,),) = run("SHOW lock_timeout")
    run(f"SET lock_timeout = '{BUILD_PATIENCE}'")
    try:
        yield
        run(f"SET lock_timeout = '{usual}'")
    except OperationalError as error:
        # Not tried again like a short wait: each try is a build from the beginning.
        if not isinstance(error.__cause__, errors.LockNotAvailable):
            raise
        raise ConfigurationError(
            f"An index waits for transactions that have been open for {BUILD_PATIENCE} and more. End them "
            "(`manage.py doctor` names the oldest) and run this again; it goes on where it stopped."
        ) from None


def _operation(act: Any) -> Operation:
    def apply(_apps: Any, schema_editor: Any) -> None:
        def run(statement: str, **parameters: str) -> list[Any]:
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []

        act(run)

    return RunPython(apply, RunPython.noop)
