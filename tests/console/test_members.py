"""Members through the console: invite, change, remove; nobody grants more than they have, and the last owner stays."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db.models.functions import Now

from jobservice.ids import MEMBER, show_id
from tenants.members import NewMember
from tenants.models import AuditEvent, LoginSession, Member
from tenants.models import Tenant as TenantRow
from tests.console.people import PASSWORD, Browser, join, logged_in
from tests.console.test_factors import add_totp
from tests.factories import Tenant

pytestmark = pytest.mark.django_db


def actions(tenant: Tenant) -> list[str]:
    return list(AuditEvent.objects.filter(tenant_id=tenant.id).order_by("seq").values_list("action", flat=True))


def path_of(member: Member) -> str:
    return f"/console/members/{show_id(MEMBER, member.id)}"


def test_a_link_is_shown_once_and_lets_a_person_in(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    answer = browser.post("/console/members/invite", {"email": "eve@example.com", "role": "operator"})
    (path,) = re.findall(r"/console/invitation/\w+", answer.content.decode())
    assert path not in browser.get("/console/members").content.decode()
    guest = Browser()
    guest.get(path)
    guest.post(path, {"password": PASSWORD})
    page = guest.get("/console/members").content.decode()
    assert "eve@example.com" in page
    assert "Invite a person" not in page


def test_an_invitation_that_is_refused_keeps_what_was_typed(tenant: Tenant) -> None:
    form = {"email": 'eve"@example', "role": "admin", "may_read_payloads": "on"}
    page = logged_in(tenant).post("/console/members/invite", form).content.decode()
    assert 'value="eve&quot;@example"' in page
    assert "<option selected>admin</option>" in page
    assert 'name="may_read_payloads" checked' in page


def test_times_of_people_are_in_the_zone_that_the_page_names(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    add_totp(browser)
    browser.post("/console/members/invite", {"email": "eve@example.com", "role": "viewer"})
    until = datetime(2027, 1, 31, 22, 30, tzinfo=UTC)
    Member.objects.filter(email="eve@example.com").update(invitation_expires_at=until)
    Member.objects.exclude(email="eve@example.com").update(last_seen_at=until)
    LoginSession.objects.update(last_seen_at=until)
    Authenticator.objects.update(created_at=until, last_used_at=until)
    browser.post("/console/preferences", {"zone": "browser:Asia/Kolkata"})
    for path, times in (("members", 2), ("account", 1), ("account/factors", 2)):
        page = browser.get(f"/console/{path}").content.decode()
        assert "Times in Asia/Kolkata" in page
        assert page.count("2027-02-01 04:00:00.000 IST") == times, path
        assert "22:30" not in re.sub(r'datetime="[^"]*"', "", page), path


def test_a_role_is_changed_at_once_and_written_down(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    member = join(tenant, "eve@example.com", "viewer")
    assert browser.post(path_of(member), {"role": "operator", "may_read_payloads": "on"}).status_code == 302
    member.refresh_from_db()
    assert (member.role, member.may_read_payloads) == ("operator", True)
    event = AuditEvent.objects.filter(tenant_id=tenant.id).order_by("-seq")[0]
    assert (event.action, event.before) == ("member.role-changed", '{"may_read_payloads":false,"role":"viewer"}')
    assert event.after == '{"may_read_payloads":true,"role":"operator"}'


@pytest.mark.parametrize("role", ["owner", "admin", "operator", "viewer"])
def test_nobody_changes_their_own_role_or_permission(tenant: Tenant, role: str) -> None:
    browser = logged_in(tenant, role, email="me@example.com")
    me = Member.objects.get(email="me@example.com")
    assert browser.post(path_of(me), {"role": "owner", "may_read_payloads": "on"}).status_code == 403
    me.refresh_from_db()
    assert (me.role, me.may_read_payloads) == (role, False)


def test_an_admin_makes_no_owner_and_touches_none(tenant: Tenant) -> None:
    owner, viewer = join(tenant, "owner@example.com", "owner"), join(tenant, "viewer@example.com", "viewer")
    browser = logged_in(tenant, "admin")
    assert browser.post(path_of(viewer), {"role": "owner"}).status_code == 403
    assert browser.post(path_of(owner), {"role": "viewer"}).status_code == 403
    assert browser.post(f"{path_of(owner)}/remove").status_code == 403
    assert browser.post("/console/members/invite", {"email": "x@example.com", "role": "owner"}).status_code == 403
    assert browser.post(path_of(viewer), {"role": "viewer", "may_read_payloads": "on"}).status_code == 403
    assert set(Member.objects.values_list("email", "role", "status")) == {
        ("owner@example.com", "owner", "active"),
        ("viewer@example.com", "viewer", "active"),
        (f"admin@{tenant.name}.example", "admin", "active"),
    }
    assert browser.post(path_of(viewer), {"role": "admin"}).status_code == 302


def test_the_last_owner_cannot_leave_and_an_invited_one_does_not_count(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    browser.post("/console/members/invite", {"email": "eve@example.com", "role": "owner"})
    assert browser.post("/console/members/leave").status_code == 409
    join(tenant, "second@example.com", "owner")
    assert browser.post("/console/members/leave").status_code == 302
    assert browser.get("/console/").status_code == 302


def test_who_is_removed_is_out_at_once_and_stays_in_other_tenants(tenant: Tenant, other_tenant: Tenant) -> None:
    guest = logged_in(tenant, "operator", email="eve@example.com")
    elsewhere = Browser()
    join(other_tenant, "eve@example.com", "viewer")
    elsewhere.log_in("eve@example.com")
    browser = logged_in(tenant)
    member = Member.objects.get(email="eve@example.com", tenant_id=tenant.id)
    assert browser.post(f"{path_of(member)}/remove").status_code == 302
    assert guest.get("/console/")["Location"].startswith("/console/login")
    assert elsewhere.get("/console/").status_code == 200
    assert actions(tenant)[-1] == "member.removed"


def test_members_of_another_tenant_are_not_there(tenant: Tenant, other_tenant: Tenant) -> None:
    stranger = join(other_tenant, "eve@example.com", "viewer")
    browser = logged_in(tenant)
    for path in (path_of(stranger), f"{path_of(stranger)}/remove"):
        answers = {
            browser.post(path, {"role": "viewer"}).status_code,
            browser.post("/console/members/mem_x").status_code,
        }
        assert answers == {404}
    assert "eve@example.com" not in browser.get("/console/members").content.decode()


def test_an_owner_makes_second_factors_a_rule_and_it_is_written_down_once(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    for _ in range(2):
        browser.post("/console/members/second-factor", {"require_mfa": "on"})
    assert TenantRow.objects.get(id=tenant.id).require_mfa
    assert actions(tenant).count("tenant.login-rule-updated") == 1


@pytest.fixture
def mailed(monkeypatch: pytest.MonkeyPatch) -> list[NewMember]:
    """Mail is set up; what would be sent."""
    environment = replace(
        settings.ENVIRONMENT, smtp_url="smtps://mail.example.com:465", public_url="https://jobs.example.com"
    )
    monkeypatch.setattr(settings, "ENVIRONMENT", environment)
    sent: list[NewMember] = []
    monkeypatch.setattr("tenants.console.members.send_invitation", lambda new, tenant_name: sent.append(new))
    return sent


def test_where_there_is_mail_whoever_invites_does_not_see_the_link(tenant: Tenant, mailed: list[NewMember]) -> None:
    browser = logged_in(tenant)
    answer = browser.post("/console/members/invite", {"email": "eve@example.com", "role": "operator"})
    assert answer.status_code == 200
    (new,) = mailed
    assert new.email == "eve@example.com"
    assert new.invitation not in answer.content.decode()
    assert "/console/invitation/" not in answer.content.decode()


def test_a_tenant_invites_so_many_in_an_hour_and_then_waits(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.member_changes.INVITATIONS_PER_HOUR", 3)
    browser = logged_in(tenant)
    form = {"email": "a@example.com", "role": "viewer"}
    assert browser.post("/console/members/invite", form).status_code == 200
    assert browser.post(f"{path_of(Member.objects.get(email='a@example.com'))}/remove").status_code == 302
    assert browser.post("/console/members/invite", form).status_code == 200
    answer = browser.post("/console/members/invite", {**form, "email": "b@example.com"})
    assert answer.status_code == 429
    assert "in an hour" in answer.content.decode()
    assert 3500 < int(answer["Retry-After"]) <= 3600
    assert actions(tenant).count("member.invited") == 3
    Member.objects.update(created_at=Now() - timedelta(seconds=3601))
    assert browser.post("/console/members/invite", {**form, "email": "b@example.com"}).status_code == 200
