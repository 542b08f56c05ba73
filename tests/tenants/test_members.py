"""`manage.py create_member`, and the rules that the member table states itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from jobservice.ids import MEMBER, TENANT, show_id
from tenants.context import tenant_tx
from tenants.invitations import hash_invitation
from tenants.models import Member
from tests.factories import Tenant
from tests.roles import as_role
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def invite(tenant: Tenant, *arguments: str, email: str = "ada@example.com", role: str = "admin") -> dict[str, Any]:
    made: dict[str, Any] = json.loads(run("create_member", tenant.name, email, "--role", role, "--json", *arguments))
    return made


def test_a_member_is_one_line_of_json_with_an_invitation_stored_as_its_hash(tenant: Tenant) -> None:
    line = run("create_member", tenant.name, "ada@example.com", "--role", "admin", "--json")
    made = json.loads(line)
    assert line.count("\n") == 1
    assert set(made) == {"member", "tenant", "email", "role", "may_read_payloads", "invitation", "url", "expires_at"}
    row = Member.objects.get()
    assert show_id(MEMBER, row.id) == made["member"]
    assert (row.tenant_id, show_id(TENANT, row.tenant_id)) == (tenant.id, made["tenant"])
    assert (row.email, row.role, row.status, row.may_read_payloads) == ("ada@example.com", "admin", "invited", False)
    assert bytes(row.invitation_hash or b"") == hash_invitation(made["invitation"])
    assert hash_invitation(made["invitation"]) == sha256(made["invitation"].encode()).digest()
    secret = made["invitation"].removeprefix("js_invite_")
    assert len(secret) == 43
    assert secret not in str(row.__dict__)


def test_an_invitation_is_good_for_seven_days_by_the_databases_clock(tenant: Tenant) -> None:
    made = invite(tenant)
    expires_at = datetime.fromisoformat(made["expires_at"])
    assert abs(expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)


def test_reading_payloads_is_a_permission_apart_from_the_role(tenant: Tenant) -> None:
    assert invite(tenant, role="viewer", email="a@example.com")["may_read_payloads"] is False
    assert invite(tenant, "--payloads", role="viewer", email="b@example.com")["may_read_payloads"] is True
    assert Member.objects.get(email="b@example.com").may_read_payloads is True


def test_without_json_a_sentence_names_the_member_and_the_invitation(tenant: Tenant) -> None:
    text = run("create_member", tenant.name, "ada@example.com", "--role", "owner")
    assert f"ada@example.com is invited to {tenant.name} as owner: mem_" in text
    assert "/console/invitation/js_invite_" in text


@pytest.mark.parametrize("again", ["ada@example.com", "ADA@Example.COM", "  ada@example.com "])
def test_an_address_is_a_member_once_however_it_is_written(tenant: Tenant, again: str) -> None:
    invite(tenant)
    assert "ada@example.com is a member" in refused("create_member", tenant.name, again, "--role", "viewer")
    assert Member.objects.count() == 1


def test_another_tenant_may_have_the_same_person(tenant: Tenant, other_tenant: Tenant) -> None:
    assert invite(tenant)["member"] != invite(other_tenant)["member"]


def test_who_was_removed_may_be_invited_again(tenant: Tenant) -> None:
    invite(tenant)
    Member.objects.update(status="removed", invitation_hash=None, invitation_expires_at=None)
    invite(tenant)
    assert Member.objects.filter(email="ada@example.com").count() == 2


def test_an_international_domain_is_kept_in_ascii(tenant: Tenant) -> None:
    assert invite(tenant, email="Ada@Bücher.example")["email"] == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "a b@example.com", "a@b@c", "a" * 250 + "@x.org"])
def test_what_is_no_address_is_refused(tenant: Tenant, email: str) -> None:
    assert "is not an e-mail address" in refused("create_member", tenant.name, email, "--role", "viewer")
    assert not Member.objects.exists()


def test_an_unknown_tenant_is_refused(db: None) -> None:
    assert "nobody" in refused("create_member", "nobody", "ada@example.com", "--role", "viewer")


@pytest.mark.parametrize(
    "change",
    [
        {"email": "Ada@example.com"},
        {"email": "no address"},
        {"role": "king"},
        {"status": "gone"},
        {"status": "active"},  # whoever is active has no invitation any more
        {"invitation_hash": None},
        {"invitation_hash": b"short"},
        {"invitation_expires_at": None},
    ],
    ids=lambda change: "-".join(change),
)
def test_the_table_itself_refuses_an_illegal_member(tenant: Tenant, change: dict[str, Any]) -> None:
    invite(tenant)
    with pytest.raises(IntegrityError), transaction.atomic():
        Member.objects.update(**change)


def test_the_web_sees_its_tenants_members_and_changes_only_what_the_console_may(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    invite(tenant)
    invite(other_tenant)
    with as_role("web"), tenant_tx(tenant.id):
        assert [member.tenant_id for member in Member.objects.all()] == [tenant.id]
        assert Member.objects.update(role="viewer", may_read_payloads=True) == 1
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            Member.objects.update(email="mallory@example.com")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            Member.objects.all().delete()


@pytest.mark.parametrize("role", ["worker", "dispatcher"])
def test_no_other_process_sees_members(tenant: Tenant, role: str) -> None:
    with as_role(role), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        Member.objects.exists()
