"""Redeeming an invitation: once, by whom it is for, with a password that is good enough."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tenants.members import NewMember, invite_member
from tenants.models import Account, AuditEvent, Member
from tests.console.people import PASSWORD, Browser, join
from tests.factories import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def invited(tenant: Tenant) -> NewMember:
    return invite_member(tenant.id, email="ada@example.com", role="admin")


def redeem(invitation: str, password: str = PASSWORD, browser: Browser | None = None) -> tuple[Browser, int]:
    browser = browser or Browser()
    browser.get("/console/login")
    return browser, browser.post(f"/console/invitation/{invitation}", {"password": password}).status_code


def test_the_link_makes_an_account_and_an_active_member_and_is_spent(tenant: Tenant, invited: NewMember) -> None:
    browser, status = redeem(invited.invitation)
    assert status == 302
    assert tenant.name in browser.get("/console/").content.decode()
    member = Member.objects.get(id=invited.member_id)
    assert (member.status, member.account_id) == ("active", Account.objects.get(email="ada@example.com").id)
    actions = AuditEvent.objects.filter(tenant_id=tenant.id).order_by("-seq").values_list("action", "actor_type")[:2]
    assert list(actions) == [("member.logged-in", "member"), ("member.joined", "member")]
    assert redeem(invited.invitation)[1] == 404


@pytest.mark.parametrize("password", ["short", "password1234", "ada@example.com", "x" * 257])
def test_a_bad_password_is_refused_and_the_link_stays_good(invited: NewMember, password: str) -> None:
    assert redeem(invited.invitation, password)[1] == 422
    assert not Account.objects.exists()
    assert redeem(invited.invitation)[1] == 302


def test_a_long_password_of_one_kind_of_character_is_good(invited: NewMember) -> None:
    assert redeem(invited.invitation, "correct horse battery staple")[1] == 302


@pytest.mark.parametrize("text", ["js_invite_" + "x" * 43, "nothing", "%00"])
def test_an_unknown_link_opens_nothing(db: None, text: str) -> None:
    assert Browser().get(f"/console/invitation/{text}").status_code == 404


def test_a_link_that_is_over_or_withdrawn_opens_nothing(tenant: Tenant, invited: NewMember) -> None:
    Member.objects.filter(id=invited.member_id).update(invitation_expires_at=Now() - timedelta(seconds=1))
    assert redeem(invited.invitation)[1] == 404
    Member.objects.filter(id=invited.member_id).update(
        status="removed", invitation_hash=None, invitation_expires_at=None
    )
    assert redeem(invited.invitation)[1] == 404
    assert not Account.objects.exists()


def test_who_has_an_account_must_log_in_with_it(tenant: Tenant, other_tenant: Tenant, invited: NewMember) -> None:
    join(other_tenant, "ada@example.com")
    browser, status = redeem(invited.invitation, "another long password")
    assert status == 302
    assert Member.objects.get(id=invited.member_id).status == "invited"
    path = f"/console/invitation/{invited.invitation}"
    assert browser.log_in("ada@example.com", next=path)["Location"] == path
    assert "Join" in browser.get(path).content.decode()
    assert browser.post(path).status_code == 302
    assert tenant.name in browser.get("/console/").content.decode()


def test_an_invitation_of_somebody_else_cannot_be_redeemed(tenant: Tenant, invited: NewMember) -> None:
    join(tenant, "mallory@example.com", "viewer")
    browser = Browser()
    browser.log_in("mallory@example.com")
    assert redeem(invited.invitation, browser=browser)[1] == 403
    assert Member.objects.get(id=invited.member_id).status == "invited"
