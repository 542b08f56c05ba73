"""The wall between tenants, read from the catalogue: a table with tenant_id and without its policies fails here."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from tenants.rls import RUNTIME_ROLES, role_name

pytestmark = pytest.mark.django_db

# Tables that belong to no tenant; a new one must be named here, and why.
TENANTLESS = {
    "django_migrations": "Django's own",
    "installation": "one row about the whole database",
    "plan": "the operator's sets of quotas",
    "health_report": "what the operator's checks found; the web reads it for an operator only",
    "pool": "the kinds of workers",
    **dict.fromkeys(
        (
            "account",
            "login_session",
            "login_throttle",
            "mfa_authenticator",
        ),
        "of people, who may be members of several tenants; only the web reads them",
    ),
    **dict.fromkeys(
        (
            "account_emailaddress",
            "account_emailconfirmation",
            "auth_group",
            "auth_group_permissions",
            "auth_permission",
            "django_content_type",
        ),
        "made by migrations of Django and allauth; unused, and granted to nobody",
    ),
    "worker": "processes of the operator",
}


def query(text: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


def unprotected_tables() -> set[str]:
    rows = query(
        """
        SELECT c.relname
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND NOT (
            c.relrowsecurity AND c.relforcerowsecurity
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive)
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive)
          )
        """
    )
    return {name for (name,) in rows} - set(TENANTLESS)


def test_every_table_of_a_tenant_forces_its_policies() -> None:
    assert unprotected_tables() == set()


def test_a_new_table_without_policies_would_be_found() -> None:
    query("CREATE TABLE forgotten (id uuid, tenant_id uuid)")
    assert unprotected_tables() == {"forgotten"}


def test_a_table_that_is_enabled_but_not_forced_would_be_found() -> None:
    query("ALTER TABLE job NO FORCE ROW LEVEL SECURITY")
    assert unprotected_tables() == {"job"}


def test_no_runtime_role_is_above_the_policies() -> None:
    names = [role_name(role, connection.settings_dict["NAME"]) for role in RUNTIME_ROLES]
    rows = query("SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles")
    assert {name: unbound for name, unbound in rows if name in names} == dict.fromkeys(names, False)


def test_partitions_cannot_be_reached_past_their_parent() -> None:
    granted = query(
        "SELECT c.relname FROM pg_class c, pg_roles r WHERE c.relispartition AND c.relkind = 'r' "
        "AND r.rolname LIKE current_database() || '\\_%' AND has_any_column_privilege(r.oid, c.oid, 'SELECT')"
    )
    assert granted == []


def test_the_dispatcher_can_read_no_sealed_byte() -> None:
    dispatcher = role_name("dispatcher", connection.settings_dict["NAME"])
    readable = query(
        f"""
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
          AND (c.relname = 'blob' OR a.atttypid = 'bytea'::regtype AND (c.relname, a.attname) NOT IN (
            ('job', 'unique_hash'), ('job', 'concurrency_hash'), ('job_live', 'concurrency_hash'),
            ('unique_claim', 'hash'), ('idempotency_key', 'hash')))
          AND has_column_privilege('{dispatcher}', c.oid, a.attnum, 'SELECT')
        """
    )
    assert readable == []


@pytest.mark.parametrize("runtime_role", ["web", "worker"])
def test_without_a_tenant_nothing_is_seen(runtime_role: str, tenant: Any, role: Any) -> None:
    with role(runtime_role):
        assert query("SELECT count(*) FROM tenant") == [(0,)]
        assert query("SELECT count(*) FROM data_key") == [(0,)]


def test_the_web_sees_its_tenant_only_and_cannot_write_for_another(tenant: Any, other_tenant: Any, role: Any) -> None:
    with role("web"):
        query(f"SELECT set_config('app.tenant', '{tenant.id}', true)")
        assert query("SELECT id FROM tenant") == [(tenant.id,)]
        assert query(f"SELECT count(*) FROM signing_secret WHERE tenant_id = '{other_tenant.id}'") == [(0,)]
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            query(
                "INSERT INTO queue (id, tenant_id, name) "
                f"VALUES (gen_random_uuid(), '{other_tenant.id}', 'theirs') RETURNING 1"
            )


def test_the_worker_sees_the_tenants_of_its_message_only(tenant: Any, other_tenant: Any, role: Any) -> None:
    with role("worker"):
        query(f"SELECT set_config('app.tenants', '{tenant.id}', true)")
        assert query("SELECT DISTINCT tenant_id FROM data_key") == [(tenant.id,)]
        query(f"SELECT set_config('app.tenants', '{tenant.id},{other_tenant.id}', true)")
        assert len(query("SELECT DISTINCT tenant_id FROM data_key")) == 2
