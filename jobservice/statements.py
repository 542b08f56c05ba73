"""Runs the `.sql` files of the apps: one statement, one file, named parameters, rows as named tuples.

Parameters are bound by the server and each statement is prepared once per connection: planning one of these over all
its partitions costs more than running it.
"""

from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from psycopg.pq import ExecStatus

_JSONB_OID = 3802
_PARAMETER = re.compile(r"%\((\w+)\)s")


def run_statement(path: Path, parameters: Mapping[str, Any]) -> list[Any]:
    """Run the statement of a `.sql` file on the current connection; its rows as named tuples, none for a bare write."""
    with _current_connection() as raw:
        return execute_statement(raw, read_statement(path), parameters)


def run_together(steps: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[list[Any]]:
    """Run statements one after another in one round trip; the rows of each. None can be given what another tells.

    Run in a transaction: each sees what others have committed by the time it begins.
    """
    with _current_connection() as raw:
        return execute_together(raw, [(read_statement(path), parameters) for path, parameters in steps])


@contextmanager
def _current_connection() -> Iterator[psycopg.Connection[Any]]:
    # What Django's own cursor does first: outside a transaction the connection may have died since its last use.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        yield connection.connection


def execute_statement(
    raw: psycopg.Connection[Any], statement: str, parameters: Mapping[str, Any], *, prepare: bool | None = None
) -> list[Any]:
    """Run a statement on a connection of psycopg; otherwise as `run_statement`."""
    with psycopg.RawCursor(raw) as cursor:
        return _fetch(cursor, _send(cursor, statement, parameters, prepare))


def execute_together(
    raw: psycopg.Connection[Any], steps: Sequence[tuple[str, Mapping[str, Any]]], *, prepare: bool | None = None
) -> list[list[Any]]:
    """Run statements on a connection of psycopg; otherwise as `run_together`."""
    if len(steps) == 1:
        # What a pipeline saves, it saves between two.
        ((statement, parameters),) = steps
        return [execute_statement(raw, statement, parameters, prepare=prepare)]
    with ExitStack() as cursors:
        sent = []
        # What they tell is there when the pipeline has been left.
        with raw.pipeline():
            for statement, parameters in steps:
                cursor = cursors.enter_context(psycopg.RawCursor(raw))
                sent.append((cursor, _send(cursor, statement, parameters, prepare)))
        return [_fetch(cursor, text) for cursor, text in sent]


def _send(cursor: psycopg.RawCursor[Any], statement: str, parameters: Mapping[str, Any], prepare: bool | None) -> bytes:
    """The text that was sent."""
    text, names = number_parameters(statement)
    # Not Django's cursor, which writes the parameters into the text, so that every execution is planned anew. Nor one
    # that looks for named parameters: in a text as long as the claim's it does so each time.
    cursor.execute(text, [_bound(parameters[name]) for name in names], prepare=prepare)
    return text


def _fetch(cursor: psycopg.RawCursor[Any], text: bytes) -> list[Any]:
    if cursor.pgresult is None or cursor.pgresult.status != ExecStatus.TUPLES_OK:
        return []
    rows = _ROWS.get(text) or _ROWS.setdefault(text, _Rows.of(cursor))
    return rows.make(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class _Rows:
    """How the rows of a statement are made. Told once: psycopg describes each column anew, each time it is asked."""

    type: Any
    documents: tuple[int, ...]

    @classmethod
    def of(cls, cursor: psycopg.RawCursor[Any]) -> _Rows:
        columns = cursor.description or []
        # Django's connections, and whatever else runs these, hand jsonb on as text.
        documents = tuple(at for at, column in enumerate(columns) if column.type_code == _JSONB_OID)
        return cls(namedtuple("Row", [column.name for column in columns]), documents)

    def make(self, fetched: Sequence[Sequence[Any]]) -> list[Any]:
        if self.documents:
            fetched = [_parsed(values, self.documents) for values in fetched]
        # What `_make` does, without a call of it for each row.
        return list(map(partial(tuple.__new__, self.type), fetched))


_ROWS: dict[bytes, _Rows] = {}


def _bound(value: Any) -> Any:
    """A list of ids as one text, which costs a tenth of what psycopg takes to look at each of them."""
    if not isinstance(value, list) or not value or type(value[0]) is not UUID:
        return value
    return "{" + ",".join("NULL" if one is None else str(one) for one in value) + "}"


def _parsed(values: Sequence[Any], documents: Sequence[int]) -> list[Any]:
    parsed = list(values)
    for at in documents:
        parsed[at] = None if parsed[at] is None else json.loads(parsed[at])
    return parsed


@cache
def read_statement(path: Path) -> str:
    """The text of a `.sql` file without its comments, so that a `%` in a comment is no placeholder."""
    lines = path.read_text().splitlines()
    return "\n".join(line.split("--")[0].rstrip() for line in lines if line.split("--")[0].strip())


def keep_statements(folder: Path) -> None:
    """Read every statement of a folder now, for as long as the process lives.

    Whoever deploys puts new files in the place of those that running processes came with. A process that first met a
    statement after that, such as the one by which it gives its jobs back when it is asked to stop, would run the new
    text with the parameters of its old code.
    """
    for path in folder.glob("*.sql"):
        read_statement(path)


@cache
def number_parameters(text: str) -> tuple[bytes, list[str]]:
    """The text with `$1` and so on for its named parameters, as the server reads it, and the names in that order."""
    order: dict[str, int] = {}
    numbered = _PARAMETER.sub(lambda found: f"${order.setdefault(found[1], len(order) + 1)}", text)
    return numbered.replace("%%", "%").encode(), list(order)
