"""How the checks read: each statement in a short read-only transaction of its own, as the role that may.

The owner is bound by row-level security as everybody is, so what spans tenants is read as the dispatcher, whose grants
hold no sealed column, and what is about sealed rows as the worker, for the tenants that the check names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from jobservice.statements import read_statement

_SQL = Path(__file__).resolve().parent / "sql"
APPLICATION_NAME = "jobservice doctor"
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5.0
LOCK_SECONDS = 1.0


class CannotRead(Exception):
    """The role's address is not known here, or does not let us in. The text is a sentence without any secret."""


class Reader(Protocol):
    def read(
        self, role: str, statement: str, parameters: Mapping[str, Any] | None = None, *, tenants: Iterable[UUID] = ()
    ) -> list[Any]:
        """The rows of a statement, as named tuples. Raises `CannotRead`, `psycopg.Error` or Django's `Error`.

        `statement` is SQL, or the name of a file in `sql/`. `tenants` are those whose rows a worker's read may see.
        """
        ...


def statement_text(statement: str) -> str:
    return statement if " " in statement else read_statement(_SQL / f"{statement}.sql")


class RoleReader:
    """Reads over one connection per role, each opened when it is first wanted. Use it in a `with` block."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._refusals: dict[str, str] = {}

    def __enter__(self) -> RoleReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            connection.close()

    def read(
        self, role: str, statement: str, parameters: Mapping[str, Any] | None = None, *, tenants: Iterable[UUID] = ()
    ) -> list[Any]:
        connection = self._connect(role)
        with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as cursor:
            for name, value in {**_limits(), "app.tenants": ",".join(map(str, tenants))}.items():
                # Of this transaction only, so that a pooler cannot give it to somebody else.
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            return cursor.execute(statement_text(statement).encode(), parameters).fetchall()

    def _connect(self, role: str) -> psycopg.Connection[Any]:
        if role in self._refusals:
            raise CannotRead(self._refusals[role])
        known = self._connections.get(role)
        if known is not None and not known.closed:
            return known
        try:
            self._connections[role] = _open(self._urls.get(role, ""), role)
        except CannotRead as error:
            self._refusals[role] = str(error)
            raise
        return self._connections[role]


def _limits() -> dict[str, str]:
    limits = {"statement_timeout": STATEMENT_SECONDS, "lock_timeout": LOCK_SECONDS}
    return {name: f"{seconds * 1000:.0f}ms" for name, seconds in limits.items()}


def _open(url: str, role: str) -> psycopg.Connection[Any]:
    if not url:
        raise CannotRead(f"the {role}'s address is not known here")
    try:
        connection: psycopg.Connection[Any] = psycopg.connect(
            url, connect_timeout=CONNECT_SECONDS, application_name=APPLICATION_NAME, prepare_threshold=None
        )
    except psycopg.Error as error:
        # Only the kind: the text of a refused address may hold a part of it.
        raise CannotRead(f"the {role}'s login does not work ({type(error).__name__})") from None
    connection.read_only = True
    return connection
