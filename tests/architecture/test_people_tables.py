"""Logins are for the web alone, the domain knows no pages, and the web cannot make anybody an operator."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.db import ProgrammingError, connection, transaction

from tests.console.people import join
from tests.factories import Tenant
from tests.roles import as_role

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("account", "login_session", "login_throttle", "mfa_authenticator")
UNUSED = ("account_emailaddress", "auth_permission", "django_content_type")


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["worker", "dispatcher"])
@pytest.mark.parametrize("table", TABLES)
def test_no_other_process_reads_logins(tenant: Tenant, role: str, table: str) -> None:
    with as_role(role), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        query(f"SELECT * FROM {table}")


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["web", "worker", "dispatcher"])
@pytest.mark.parametrize("table", UNUSED)
def test_what_libraries_bring_along_is_granted_to_nobody(tenant: Tenant, role: str, table: str) -> None:
    with as_role(role), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        query(f"SELECT * FROM {table}")


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["is_staff = true", "email = 'eve@example.com'"])
def test_the_web_changes_neither_who_is_an_operator_nor_an_address(tenant: Tenant, change: str) -> None:
    join(tenant, "ada@example.com")
    with as_role("web"), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        query(f"UPDATE account SET {change}")


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["worker", "dispatcher"])
@pytest.mark.parametrize("call", ["read_standing(gen_random_uuid())", "find_invitation('x')"])
def test_only_the_web_asks_who_a_person_is(tenant: Tenant, role: str, call: str) -> None:
    with as_role(role), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        query(f"SELECT * FROM {call}")


def test_nothing_of_tenants_but_the_console_knows_the_console() -> None:
    faults = []
    for path in (ROOT / "tenants").rglob("*.py"):
        if "console" in path.relative_to(ROOT / "tenants").parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            faults += [f"{path.name}: {name}" for name in names if name.startswith("tenants.console")]
    assert faults == []


def query(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)
