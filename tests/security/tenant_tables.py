"""Every table of the tenants' as a Django model, whoever made it, and rows of a tenant in each of them.

A new model is here by itself; so is a table that has none. What the product's own doors do not fill gets a row that is
made from the columns alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from tenants.members import invite_member
from tenants.rls import role_name
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.security.access_entries import BULK_ACTION, DELIVERY, ENDPOINT, JOB_TYPE, SIGNING_TYPE

# Of models that are made here for tables without one.
_nameless = Apps()
_FIELDS: dict[str, type[models.Field[Any, Any]]] = {
    "uuid": models.UUIDField,
    "text": models.TextField,
    "smallint": models.SmallIntegerField,
    "integer": models.IntegerField,
    "bigint": models.BigIntegerField,
    "boolean": models.BooleanField,
    "real": models.FloatField,
    "double precision": models.FloatField,
    "date": models.DateField,
    "timestamp with time zone": models.DateTimeField,
    "jsonb": models.JSONField,
    "bytea": models.BinaryField,
}
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Readable:
    """A tenants' table as one role may read it: the model, whose rows are whose, and the fields that it may see."""

    model: type[models.Model]
    owner: str
    fields: tuple[models.Field[Any, Any], ...]


def tables() -> dict[str, list[Column]]:
    """The tables that hold rows of tenants, by the catalogue."""
    found: dict[str, list[Column]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        for table, *column in cursor.fetchall():
            found.setdefault(table, []).append(Column(*column))
    return {table: columns for table, columns in found.items() if table == "tenant" or _owner(columns) is not None}


def readable_by(role: str) -> list[Readable]:
    """What this role may read of each table of the tenants', as its grants are."""
    known = {model._meta.db_table: model for model in apps.get_models()}
    found = []
    for table, columns in tables().items():
        model = known.get(table) or _make_model(table, columns)
        granted = _granted(table, role)
        fields = tuple(field for field in model._meta.concrete_fields if field.column in granted)
        owner = "id" if table == "tenant" else "tenant_id"
        if any(field.column == owner for field in fields):
            found.append(Readable(model, owner, fields))
    return found


def fill_tables(tenant: Tenant) -> None:
    """At least one row of the tenant in each table, committed; most as the product itself makes them."""
    options = {"payload": [1], "metadata": {"a": 1}, "tags": {"customer": tenant.name}, "concurrency_key": "lock"}
    for number in range(3):
        unique = {"key": f"job-{number}"}
        make_job(tenant, unique=unique, callback_url="http://127.0.0.1:9/", queue=f"lane-{number}", **options)
    invite_member(tenant.id, email=f"ada@{tenant.name}.example", role="admin")
    for source in (JOB_TYPE, SIGNING_TYPE, ENDPOINT, BULK_ACTION, DELIVERY):
        source.make(tenant)
    # One fails, one is completed, and one is under way.
    started = {job.queue: job for job in start(claim()) if job.tenant_id == tenant.id}
    record(
        outcome_of(started["lane-0"], "failed", error_code="handler-error", error_message="boom"),
        outcome_of(started["lane-1"]),
    )
    for table, columns in tables().items():
        if table != "tenant" and not _count(table, tenant.id):
            _insert_plain_row(table, columns, tenant.id)


def _owner(columns: list[Column]) -> str | None:
    return next((column.name for column in columns if column.name == "tenant_id"), None)


def _make_model(table: str, columns: list[Column]) -> type[models.Model]:
    """A model of a table that the product reads by statements of its own only."""
    fields: dict[str, Any] = {
        column.name: _make_field(column.type, primary_key=number == 0) for number, column in enumerate(columns)
    }
    meta = type("Meta", (), {"apps": _nameless, "app_label": "nameless", "db_table": table, "managed": False})
    name = table.title().replace("_", "")
    _nameless.all_models.get("nameless", {}).pop(name.lower(), None)
    return type(name, (models.Model,), {**fields, "Meta": meta, "__module__": __name__})


def _make_field(type_: str, *, primary_key: bool) -> models.Field[Any, Any]:
    if type_.endswith("[]"):
        return ArrayField(_FIELDS[type_.removesuffix("[]")]())
    return _FIELDS[type_](primary_key=primary_key)


def _granted(table: str, role: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND has_column_privilege(%s, attrelid, attnum, 'SELECT')",
            [table, role_name(role, str(connection.settings_dict["NAME"]))],
        )
        return {name for (name,) in cursor.fetchall()}


def _count(table: str, tenant_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", [tenant_id])
        return int(cursor.fetchone()[0])


_PLAIN = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "boolean": "false",
    "date": "current_date",
    "timestamp with time zone": "now()",
    "jsonb": "'{}'",
    "bytea": "sha256('x')",
}

# Where a CHECK wants a certain one.
_NAMED = {"step_seconds": "60"}


def _plain(type_: str) -> str:
    return "'{}'" if type_.endswith("[]") else _PLAIN.get(type_, "1")


def _insert_plain_row(table: str, columns: list[Column], tenant_id: UUID) -> None:
    """A row that refers to nothing. A table whose CHECKs refuse it is filled above, by the door that makes its rows."""
    values = {c.name: _NAMED.get(c.name) or _plain(c.type) for c in columns if c.is_wanted}
    values["tenant_id"] = f"'{tenant_id}'"
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})")
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")
