"""The floor of a bulk accept: multi-row INSERTs of rows like the product's own into bare copies of its tables.

Same columns, indexes and checks, same sealed bytes sent; no wall between tenants, no HTTP, no sealing. As a program it
takes an `InsertOrder` and prints rows per second.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from uuid_utils.compat import uuid7


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertOrder:
    """So many rows over so many connections. The product has at least `per_statement` unfinished jobs."""

    database_url: str = field(repr=False)
    rows: int
    per_statement: int
    connections: int


# Each copy with the columns that differ from row to row; everything else is taken from a sample of real rows.
_COPIES = {
    "job": {"id": "ids", "payload_id": "blobs"},
    "job_live": {"job_id": "ids"},
    "blob": {"id": "blobs", "sealed": "sealed"},
}
_TYPES = {"ids": "uuid", "blobs": "uuid", "sealed": "bytea"}
_SAMPLES = {
    "job": "SELECT * FROM job WHERE id IN (SELECT job_id FROM job_live) ORDER BY id LIMIT %s",
    "job_live": "SELECT * FROM job_live ORDER BY job_id LIMIT %s",
    "blob": "SELECT * FROM blob WHERE id IN (SELECT payload_id FROM job JOIN job_live ON job_id = job.id) LIMIT %s",
}


def main() -> None:
    order = InsertOrder(**json.load(sys.stdin))
    json.dump({"rows_per_second": measure(order)}, sys.stdout)


def measure(order: InsertOrder) -> float:
    with psycopg.connect(order.database_url, autocommit=True) as connection:
        statements = _prepare(connection, order.per_statement)
        sealed = [row[0] for row in connection.execute("SELECT sealed FROM bare.sample_blob").fetchall()]
        batches = max(1, order.rows // order.per_statement // order.connections)

        def insert(_number: int) -> None:
            with psycopg.connect(order.database_url) as own:
                for _ in range(batches):
                    _insert(own, statements, sealed)

        begun = time.monotonic()
        with ThreadPoolExecutor(order.connections) as threads:
            list(threads.map(insert, range(order.connections)))
        seconds = time.monotonic() - begun
        connection.execute("DROP SCHEMA bare CASCADE")
    return batches * order.connections * order.per_statement / seconds


def _insert(connection: psycopg.Connection, statements: list[sql.Composed], sealed: list[bytes]) -> None:
    """One transaction, as one request is."""
    values = {"ids": [uuid7() for _ in sealed], "blobs": [uuid7() for _ in sealed], "sealed": sealed}
    for statement in statements:
        connection.execute(statement, values)
    connection.commit()


def _prepare(connection: psycopg.Connection, rows: int) -> list[sql.Composed]:
    connection.execute("DROP SCHEMA IF EXISTS bare CASCADE")
    connection.execute("CREATE SCHEMA bare")
    for table in _COPIES:
        copy, sample = sql.Identifier("bare", table), sql.Identifier("bare", f"sample_{table}")
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copy, sql.Identifier(table)))
        connection.execute(
            sql.SQL("CREATE TABLE {} AS SELECT row_number() OVER () AS n, s.* FROM ({}) AS s").format(
                sample, sql.SQL(_SAMPLES[table].replace("%s", str(rows)))
            )
        )
    return [_statement(connection, table, different) for table, different in _COPIES.items()]


def _statement(connection: psycopg.Connection, table: str, different: dict[str, str]) -> sql.Composed:
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'bare' AND table_name = %s "
        "AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    ).fetchall()
    columns = [str(row[0]) for row in found]
    chosen = [
        sql.Identifier("v", different[name]) if name in different else sql.Identifier("s", name) for name in columns
    ]
    arrays = list(dict.fromkeys(different.values()))
    return sql.SQL(
        "INSERT INTO {copy} ({columns}) SELECT {chosen} "
        "FROM unnest({arrays}) WITH ORDINALITY AS v ({names}, n) JOIN {sample} AS s USING (n)"
    ).format(
        copy=sql.Identifier("bare", table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        chosen=sql.SQL(", ").join(chosen),
        arrays=sql.SQL(", ").join(sql.SQL(f"{{}}::{_TYPES[name]}[]").format(sql.Placeholder(name)) for name in arrays),
        names=sql.SQL(", ").join(map(sql.Identifier, arrays)),
        sample=sql.Identifier("bare", f"sample_{table}"),
    )


if __name__ == "__main__":
    main()
