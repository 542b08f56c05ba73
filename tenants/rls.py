"""Row-level security as migration operations: who may touch which table, and of which tenant.

Every statement here runs as the owner at migration time. Policies compare bare columns so that indexes stay usable.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db.migrations import RunPython
from django.db.migrations.operations.base import Operation

RUNTIME_ROLES = ("web", "worker", "dispatcher")
# One tenant, set per transaction by the web's and the operator's commands.
ONE_TENANT = "{column} = nullif(current_setting('app.tenant', true), '')::uuid"
# The tenants of one broker message: the worker's grouped statements span tenants.
MANY_TENANTS = "{column} = ANY (string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])"


def role_name(role: str, database: str) -> str:
    """The login of a runtime role. Roles belong to a whole cluster, so the database's name is part of theirs."""
    return f"{database}_{role}"


def run_sql_file(path: Path) -> Operation:
    """Run a `.sql` file in which `{web}`, `{worker}` and `{dispatcher}` stand for the roles' quoted names."""

    def apply(_apps: Any, schema_editor: Any) -> None:
        schema_editor.execute(_with_role_names(path.read_text(), schema_editor.connection), params=None)

    return RunPython(apply, RunPython.noop)


def protect_table(table: str, *, column: str = "tenant_id", **grants: str) -> Operation:
    """Enable and force row-level security on `table`, add its policies, and grant what each role needs.

    `grants` maps a role to its privileges, such as `web="SELECT, INSERT"` or `dispatcher="SELECT (id, state)"`. A role
    without a grant gets no policy either.
    """

    def apply(_apps: Any, schema_editor: Any) -> None:
        for statement in _protection(table, column, grants):
            schema_editor.execute(_with_role_names(statement, schema_editor.connection), params=None)

    return RunPython(apply, RunPython.noop)


def grant(table: str, **grants: str) -> Operation:
    """Grant privileges on a table that belongs to no tenant."""

    def apply(_apps: Any, schema_editor: Any) -> None:
        for statement in _grants(table, grants):
            schema_editor.execute(_with_role_names(statement, schema_editor.connection), params=None)

    return RunPython(apply, RunPython.noop)


def allow_owner(table: str, command: str = "ALL") -> Operation:
    """Let the owner, whom FORCE binds too, reach every tenant's rows of one table: the operator's commands need it.

    Its restrictive policy names the runtime roles only from here on. A transaction of its own where the migration is
    none, and safe to repeat.
    """

    def apply(_apps: Any, schema_editor: Any) -> None:
        schema_editor.execute(
            _with_role_names(f"ALTER POLICY one_tenant_only ON {table} TO {{web}}", schema_editor.connection),
            params=None,
        )
        schema_editor.execute(f"DROP POLICY IF EXISTS operator ON {table}", params=None)
        schema_editor.execute(
            f"CREATE POLICY operator ON {table} FOR {command} TO CURRENT_USER USING (true)", params=None
        )

    return RunPython(apply, RunPython.noop, atomic=True)


def refuse_erased(*tables: str) -> Operation:
    """Let no row be added to these tables for a tenant that is erased, or is being erased meanwhile."""

    def apply(_apps: Any, schema_editor: Any) -> None:
        for table in tables:
            schema_editor.execute(
                f"CREATE TRIGGER tenant_is_not_erased BEFORE INSERT ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant()",
                params=None,
            )

    return RunPython(apply, RunPython.noop)


def make_partitions() -> Operation:
    """Make the partitions of this week and the next ones, so that the first INSERT finds its place."""

    def apply(_apps: Any, schema_editor: Any) -> None:
        schema_editor.execute("SELECT make_partitions()")

    return RunPython(apply, RunPython.noop)


def _protection(table: str, column: str, grants: dict[str, str]) -> Iterable[str]:
    one, many = ONE_TENANT.format(column=column), MANY_TENANTS.format(column=column)
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    yield from _policies(table, "one_tenant", "{web}, CURRENT_USER" if "web" in grants else "CURRENT_USER", one)
    if "worker" in grants:
        yield from _policies(table, "message_tenants", "{worker}", many)
    if "dispatcher" in grants:
        yield f"CREATE POLICY all_tenants ON {table} TO {{dispatcher}} USING (true) WITH CHECK (true)"
    yield from _grants(table, grants)


def _policies(table: str, name: str, roles: str, condition: str) -> Iterable[str]:
    """A permissive policy opens; its restrictive twin keeps a later permissive one from opening more."""
    yield f"CREATE POLICY {name} ON {table} TO {roles} USING ({condition}) WITH CHECK ({condition})"
    yield f"CREATE POLICY {name}_only ON {table} AS RESTRICTIVE TO {roles} USING ({condition}) WITH CHECK ({condition})"


def _grants(table: str, grants: dict[str, str]) -> Iterable[str]:
    for role, privileges in grants.items():
        yield f"GRANT {privileges} ON {table} TO {{{role}}}"


def _with_role_names(statement: str, connection: Any) -> str:
    database = connection.settings_dict["NAME"]
    quote = connection.ops.quote_name
    for role in RUNTIME_ROLES:
        statement = statement.replace(f"{{{role}}}", quote(role_name(role, database)))
    return statement
