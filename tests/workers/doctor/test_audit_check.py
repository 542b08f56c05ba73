"""What doctor says of audit logs: the newest events are walked, and the head's signature is checked."""

from __future__ import annotations

import pytest

from jobservice.ids import TENANT, show_id
from tenants.audit import note_act
from tenants.context import tenant_tx
from tests.factories import Tenant
from tests.workers.doctor.reading import find, write
from workers.doctor import audit

pytestmark = pytest.mark.django_db
LIFT = "ALTER TABLE {0} DISABLE TRIGGER USER"


def act(tenant: Tenant, count: int) -> None:
    for number in range(count):
        with tenant_tx(tenant.id):
            note_act(tenant.id, "queue.updated", f"q{number}")


def tamper(*statements: str) -> None:
    write("SET CONSTRAINTS ALL IMMEDIATE")
    for table in ("audit_event", "audit_head"):
        write(LIFT.format(table))
    for statement in statements:
        write(statement)


def test_logs_of_any_length_are_no_fault(tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "EVENTS_LOOKED_AT", 4)
    for count in (1, 1, 1, 5):
        assert find("audit-log").status == "ok"
        act(tenant, count)
    assert find("audit-log").detail == "The newest events of 2 audit logs are what was written."


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE audit_event SET object_id = 'x' WHERE seq = 9", "at event 9, it, or the one before it"),
        ("DELETE FROM audit_event WHERE seq = 9", "at event 9, it is missing"),
        ("DELETE FROM audit_event WHERE seq >= 9", "the end was cut off"),
        ("DELETE FROM audit_event", "at event 1, it is missing"),
        ("UPDATE audit_head SET signature = sha256('x')", "not signed by this installation"),
    ],
)
def test_a_log_that_was_tampered_with_is_named(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch, statement: str, reason: str
) -> None:
    monkeypatch.setattr(audit, "EVENTS_LOOKED_AT", 4)
    act(tenant, 8)
    tamper(f"{statement}{' AND' if 'WHERE' in statement else ' WHERE'} tenant_id = '{tenant.id}'")
    found = find("audit-log")
    assert (found.status, show_id(TENANT, tenant.id) in found.detail, reason in found.detail) == ("problem", True, True)
    assert "verify_audit" in found.fix


def test_a_missing_head_is_a_problem(tenant: Tenant) -> None:
    tamper("DELETE FROM audit_event", "DELETE FROM audit_head")
    assert "the head is missing" in find("audit-log").detail
