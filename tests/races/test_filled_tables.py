"""What fills the pages that it had before is analysed too: only committed rows are counted, so these are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.roles import as_role


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def refresh() -> set[str]:
    """Until nothing is left to do; the tables that were analysed."""
    found: set[str] = set()
    with as_role("dispatcher"), connection.cursor() as cursor:
        for _ in range(200):
            cursor.execute("SELECT refresh_statistics()")
            ((table,),) = cursor.fetchall()
            if table is None:
                break
            found.add(table)
    return found


@pytest.fixture
def emptied(committed: None) -> Iterator[None]:
    """A table that was full, was vacuumed when one row was left, and has all its pages still."""
    run(
        "CREATE TABLE emptied (id integer PRIMARY KEY) WITH (autovacuum_enabled = false)",
        "INSERT INTO emptied SELECT * FROM generate_series(1, 10000)",
        "DELETE FROM emptied WHERE id < 10000",
        "VACUUM ANALYZE emptied",
    )
    refresh()
    yield
    run("DROP TABLE emptied")


def fill(rows: int) -> None:
    # The counts of a session are told at most once a second, unless it is asked.
    run(f"INSERT INTO emptied SELECT * FROM generate_series(1, {rows})", "SELECT pg_stat_force_next_flush()")


def test_a_queue_that_fills_the_pages_it_had_is_planned_anew(emptied: None) -> None:
    fill(2000)
    assert "emptied" in refresh()
    assert refresh() == set()


def test_a_few_rows_in_many_pages_are_left_to_autovacuum(emptied: None) -> None:
    fill(100)
    assert "emptied" not in refresh()
