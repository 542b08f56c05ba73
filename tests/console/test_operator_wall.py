"""What the web's role may not do without an operator's living session, and with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from jobservice.jobs.operator_figures import list_tenant_figures
from tenants.console.session_store import hash_session_key
from tenants.models import Tenant as TenantRow
from tenants.operators import (
    operator_tx,
    read_health,
    read_key_progress,
)
from tenants.plans import set_plan
from tenants.quotas import parse_change
from tests.console.operating import make_operator, session_of
from tests.console.people import logged_in
from tests.factories import Tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db


CALLS = (
    "SELECT * FROM operator_tenants(%s, '', true, 50, 0, 100, 100)",
    "SELECT * FROM operator_key_progress(%s)",
    "SELECT * FROM operator_key_rotations(%s, 50)",
)


def spoiled_sessions(tenant: Tenant) -> dict[str, str]:
    """Keys of sessions that are no operator's, or not any more."""
    member = logged_in(tenant)
    sessions = {"nobody's": "0" * 43, "a member's": member.session_key}
    operators = {name: make_operator() for name in ("over", "of another epoch", "dismissed", "without a factor")}
    sessions |= {name: session_of(one).key for name, one in operators.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE login_session SET expires_at = clock_timestamp() WHERE key_hash = %s",
            [hash_session_key(sessions["over"])],
        )
        cursor.execute(
            "UPDATE account SET login_epoch = 9 WHERE id = %s", [session_of(operators["of another epoch"]).account_id]
        )
        cursor.execute(
            "UPDATE account SET is_staff = false WHERE id = %s", [session_of(operators["dismissed"]).account_id]
        )
        cursor.execute(
            "DELETE FROM mfa_authenticator WHERE user_id = %s", [session_of(operators["without a factor"]).account_id]
        )
    return sessions


def run(sql: str, parameters: list[Any], *, tenant: Tenant | None = None, operator: str = "") -> int:
    """As the web: the number of rows that came back or were changed."""
    with as_role("web"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant.id) if tenant else ""])
        cursor.execute("SELECT set_config('app.operator', %s, true)", [operator])
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def test_without_an_operators_living_session_the_webs_role_learns_of_no_tenant(tenant: Tenant) -> None:
    for name, key in spoiled_sessions(tenant).items():
        for call in CALLS:
            with pytest.raises(DatabaseError, match="only for operators"):
                run(call, [key])
        for table in ("plan", "health_report"):
            assert run(f"SELECT * FROM {table}", [], operator=key) == 0, (name, table)
        assert run("UPDATE health_report SET wanted_at = clock_timestamp()", [], operator=key) == 0, name
    operator = session_of(make_operator()).key
    assert [run(call, [operator]) > 0 for call in CALLS[:2]] == [True, True]
    assert run("SELECT * FROM health_report", [], operator=operator) == 1


@pytest.mark.parametrize(
    "change",
    ["status = 'suspended'", "weight = 9", "quotas = '{}'", "own_quotas = '{}'", "plan = NULL"],
)
def test_without_an_operators_living_session_the_webs_role_changes_nothing_that_is_the_operators(
    tenant: Tenant, other_tenant: Tenant, change: str
) -> None:
    statement = f"UPDATE tenant SET {change}"
    for key in spoiled_sessions(tenant).values():
        with pytest.raises(DatabaseError, match="only an operator"):
            run(statement, [], tenant=tenant, operator=key)
    operator = session_of(make_operator()).key
    # Of the one tenant that the transaction is of, and of no other.
    assert run(statement, [], tenant=tenant, operator=operator) == 1
    assert run(statement, [], operator=operator) == 0


def test_even_an_operators_session_changes_no_plan_no_finding_and_erases_nobody(tenant: Tenant) -> None:
    set_plan("pro", parse_change([]))
    operator = session_of(make_operator()).key
    for statement in (
        "UPDATE plan SET name = 'other'",
        "UPDATE plan SET quotas = '{}'",
        "DELETE FROM plan",
        "INSERT INTO plan (name) VALUES ('x')",
        "UPDATE health_report SET findings = '[]'",
        "UPDATE tenant SET status = 'erased'",
        "UPDATE tenant SET name = 'x'",
        "UPDATE account SET is_staff = true",
    ):
        with pytest.raises(DatabaseError):
            run(statement, [], tenant=tenant, operator=operator)


# What a statement that somebody put in finds by itself: the web reads the table of sessions.
READ_IN_THE_TABLE = (
    "(SELECT s.key_hash FROM login_session s JOIN account a ON a.id = s.account_id WHERE a.is_staff "
    "ORDER BY s.created_at DESC LIMIT 1)"
)


def test_what_the_table_of_sessions_holds_proves_no_operator_to_a_function(tenant: Tenant) -> None:
    make_operator()
    assert run(f"SELECT 1 WHERE {READ_IN_THE_TABLE} IS NOT NULL", []) == 1
    for call in CALLS:
        with pytest.raises(DatabaseError, match="only for operators"):
            run(call.replace("%s", READ_IN_THE_TABLE), [])


def test_what_the_table_of_sessions_holds_lets_nothing_be_read_or_changed(tenant: Tenant) -> None:
    make_operator()
    set_plan("pro", parse_change([]))
    claimed = f"set_config('app.operator', {READ_IN_THE_TABLE}, true) IS NOT NULL"
    with as_role("web"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant.id)])
        cursor.execute(f"SELECT {claimed}")
        assert cursor.fetchone() == (True,)
        for statement in (
            "SELECT name FROM plan",
            "SELECT id FROM health_report",
            "UPDATE health_report SET wanted_at = clock_timestamp()",
        ):
            cursor.execute(statement)
            assert cursor.rowcount == 0, statement
        with pytest.raises(DatabaseError, match="only an operator"):
            cursor.execute("UPDATE tenant SET status = 'suspended'")
        transaction.set_rollback(True)
    # And in one statement.
    with pytest.raises(DatabaseError, match="only an operator"):
        run(f"UPDATE tenant SET weight = 9 WHERE {claimed}", [], tenant=tenant)


def test_the_key_of_a_session_stands_in_no_statement_and_no_message(tenant: Tenant) -> None:
    """What the server would log of the statements, parameters apart; and what it says to a key that is none."""
    session = session_of(make_operator())
    assert session.key not in repr(session)
    told: list[str] = []

    def note(notice: Any) -> None:
        told.append(f"{notice.message_primary} {notice.context}")

    connection.connection.add_notice_handler(note)
    with connection.cursor() as cursor:
        for setting in ("log_statement = 'all'", "log_parameter_max_length = 0", "client_min_messages = 'log'"):
            cursor.execute(f"SET LOCAL {setting}")
    with as_role("web"):
        list_tenant_figures(session, limit=1)
        read_key_progress(session)
        with operator_tx(session, tenant.id):
            TenantRow.objects.filter(id=tenant.id).update(weight=3)
        read_health(session)
    connection.connection.remove_notice_handler(note)
    statements = "\n".join(told)
    for part in ("operator_tenants(", "operator_key_progress(", "set_config(", 'UPDATE "tenant"'):
        assert part in statements, part
    assert session.key not in statements
    wrong = replace(session, key="wrong-" + session.key)
    with as_role("web"), pytest.raises(DatabaseError, match="only for operators") as refused, transaction.atomic():
        list_tenant_figures(wrong, limit=1)
    diagnosis = refused.value.__cause__.diag  # type: ignore[union-attr]
    assert wrong.key not in f"{refused.value} {diagnosis.message_detail} {diagnosis.context}"


@pytest.mark.parametrize("role", ["worker", "dispatcher"])
def test_the_other_roles_call_none_of_the_operators_functions(tenant: Tenant, role: str) -> None:
    key = session_of(make_operator()).key
    for call in (*CALLS, "SELECT acting_operator(%s)"):
        refused = pytest.raises(DatabaseError, match="permission denied")
        with as_role(role), refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(call, [key])
