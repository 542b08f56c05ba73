"""What grew much faster than autovacuum looks is analysed by the dispatcher, and then planned anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.roles import as_role

pytestmark = pytest.mark.django_db


def refresh() -> set[str]:
    """Until nothing is left to do; the tables that were analysed."""
    found: set[str] = set()
    with as_role("dispatcher"), connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT refresh_statistics()")
            ((table,),) = cursor.fetchall()
            if table is None:
                return found
            assert table not in found
            found.add(table)


@pytest.fixture
def grown() -> Iterator[None]:
    """A table that was analysed with one row, and has 20,000."""
    refresh()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE grown (id integer PRIMARY KEY)")
        cursor.execute("INSERT INTO grown VALUES (0)")
        cursor.execute("ANALYZE grown")
        cursor.execute("PREPARE find_grown AS SELECT FROM grown WHERE id = $1")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("EXECUTE find_grown (1)")
        cursor.execute("INSERT INTO grown SELECT * FROM generate_series(1, 20000)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE find_grown")


def plan() -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN EXECUTE find_grown (1)")
        return "\n".join(line for (line,) in cursor.fetchall())


def test_a_statement_planned_for_a_small_table_is_planned_anew_when_it_is_large(grown: None) -> None:
    assert "Seq Scan" in plan()
    assert refresh() == {"grown"}
    assert "Index" in plan()
    assert refresh() == set()


def test_what_has_not_doubled_is_left_to_autovacuum(grown: None) -> None:
    refresh()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO grown SELECT * FROM generate_series(20001, 35000)")
    assert refresh() == set()
