"""Every column that holds sealed values, and the place each value is bound to: what a rotation of keys has to visit.

A table with a sealed column that is not named here fails `tests/architecture/test_sealed_columns.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg import sql

from jobservice.crypto.envelope import Place

_LEAST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SealedValue:
    """A stored value that is sealed under an older version: its row's key, its size, and the version."""

    key: Any
    size_bytes: int
    version: int


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """`key` orders the tenant's rows and names one of them; `marks` are columns that the place is made of besides."""

    table: str
    column: str
    place_of: Callable[[UUID, Any, Sequence[Any]], Place]
    key: str = "id"
    key_type: str = "uuid"
    least_key: Any = _LEAST_ID
    marks: tuple[str, ...] = ()

    def read_page(self, tenant_id: UUID, *, after: Any, limit: int) -> list[SealedValue]:
        """The next values by key, without the values: only the version is read of each.

        Index: `blob_of_tenant`; the other tables are small, or unique by tenant and key.
        """
        rows = self._run(
            "SELECT {key}, octet_length({column}), "
            # "J1", the algorithm, then the version in four bytes; see envelope.py.
            "('x' || encode(substring({column} FROM 4 FOR 4), 'hex'))::bit(32)::bigint "
            "FROM {table} WHERE tenant_id = %(tenant)s AND {key} > %(after)s AND {column} IS NOT NULL "
            "ORDER BY {key} LIMIT %(limit)s",
            {"tenant": tenant_id, "after": after, "limit": limit},
        )
        return [SealedValue(key if isinstance(key, UUID) else bytes(key), size, version) for key, size, version in rows]

    def read_values(self, tenant_id: UUID, keys: Sequence[Any]) -> list[tuple[Any, bytes, Place]]:
        """The values of these rows with their places; rows that went meanwhile are left out."""
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in (self.key, self.column, *self.marks))
        rows = self._run(
            "SELECT {columns} FROM {table} "
            "WHERE tenant_id = %(tenant)s AND {key} = ANY (%(keys)s) AND {column} IS NOT NULL",
            {"tenant": tenant_id, "keys": list(keys)},
            columns=columns,
        )
        return [(key, bytes(sealed), self.place_of(tenant_id, key, marks)) for key, sealed, *marks in rows]

    def replace_values(self, tenant_id: UUID, values: Sequence[tuple[Any, bytes, bytes]]) -> int:
        """Compare-and-set of (key, old, new); how many were still the old ones."""
        rows = self._run(
            "UPDATE {table} t SET {column} = n.new "
            "FROM unnest(%(keys)s::{key_type}[], %(old)s::bytea[], %(new)s::bytea[]) AS n (key, old, new) "
            "WHERE t.{key} = n.key AND t.tenant_id = %(tenant)s AND t.{column} = n.old RETURNING 1",
            {
                "tenant": tenant_id,
                "keys": [key for key, _, _ in values],
                "old": [old for _, old, _ in values],
                "new": [new for _, _, new in values],
            },
        )
        return len(rows)

    def _run(self, text: str, parameters: dict[str, Any], **parts: sql.Composable) -> list[Any]:
        statement = sql.SQL(text).format(
            table=sql.Identifier(self.table),
            column=sql.Identifier(self.column),
            key=sql.Identifier(self.key),
            key_type=sql.SQL(self.key_type),
            **parts,
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())


def _blob_place(tenant_id: UUID, key: UUID, marks: Sequence[Any]) -> Place:
    kind, epoch = marks
    return Place(tenant_id, "blob", kind, key, epoch)


def _answer_place(tenant_id: UUID, key: bytes, _marks: Sequence[Any]) -> Place:
    """The row has no id: the first half of its hash stands for one."""
    return Place(tenant_id, "idempotency_key", "answer_sealed", UUID(bytes=bytes(key)[:16]))


def _column_place(table: str, column: str) -> Callable[[UUID, Any, Sequence[Any]], Place]:
    return lambda tenant_id, key, _marks: Place(tenant_id, table, column, key)


SEALED_COLUMNS = (
    SealedColumn("blob", "sealed", _blob_place, marks=("kind", "epoch")),
    SealedColumn("signing_secret", "sealed", _column_place("signing_secret", "sealed")),
    SealedColumn("job_type", "http_sealed", _column_place("job_type", "http_sealed")),
    SealedColumn("webhook_endpoint", "url_sealed", _column_place("webhook_endpoint", "url_sealed")),
    SealedColumn("webhook_endpoint", "headers_sealed", _column_place("webhook_endpoint", "headers_sealed")),
    SealedColumn("error_group", "message_sealed", _column_place("error_group", "message_sealed")),
    SealedColumn("idempotency_key", "answer_sealed", _answer_place, key="hash", key_type="bytea", least_key=b""),
)
