"""Reads for the checks inside a test's own transaction, each as the role that production would use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from psycopg.rows import namedtuple_row

from tests.roles import as_role
from workers.doctor.examination import CHECKS, examine
from workers.doctor.finding import Finding
from workers.doctor.reader import statement_text


class TestReader:
    """Sees what the test planted and has not committed, with no more rights than the role has."""

    __test__ = False

    def read(
        self, role: str, statement: str, parameters: Mapping[str, Any] | None = None, *, tenants: Iterable[UUID] = ()
    ) -> list[Any]:
        with as_role(role), psycopg.Cursor(connection.connection, row_factory=namedtuple_row) as cursor:
            cursor.execute("SELECT set_config('app.tenants', %s, true)", [",".join(map(str, tenants))])
            return cursor.execute(statement_text(statement).encode(), parameters).fetchall()


def find(name: str) -> Finding:
    """What the check of this name finds now."""
    return examine(TestReader(), {name: CHECKS[name]})[name]


def write(statement: str, **parameters: Any) -> None:
    """Plant something, as somebody above the wall."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        assert cursor.rowcount != 0, "nothing was planted"
