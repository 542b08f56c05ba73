"""Settings: the tenant's facts and limits for everybody, its switch for owners, its secret after a fresh proof."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobservice.ids import TENANT, show_id
from tenants.models import AuditEvent, Tenant
from tests.console.people import logged_in
from tests.console.visiting import make_person, text_of

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"whsec_[\w+/=]+")


def test_a_viewer_sees_the_tenant_and_its_limits_and_changes_nothing(tenant: Any) -> None:
    Tenant.objects.filter(id=tenant.id).update(quotas={"open_jobs": 12345})
    visitor = make_person(tenant, "viewer")
    page = visitor.get("/console/settings")
    words = text_of(page)
    for word in (
        tenant.name,
        show_id(TENANT, tenant.id),
        "open_jobs",
        "12 345",
        "No button here erases the tenant",
    ):
        assert word in words
    assert "Default signing secret" not in words
    assert 'name="require_mfa"' not in page.content.decode()
    for path in ("/console/settings/secret", "/console/settings/secret/rotate", "/console/members/second-factor"):
        assert visitor.post(path).status_code == 403


def test_an_owner_demands_second_factors_here(tenant: Any) -> None:
    browser = logged_in(tenant)
    assert 'name="require_mfa"' in browser.get("/console/settings").content.decode()
    answer = browser.post("/console/members/second-factor", {"require_mfa": "on"})
    assert answer["Location"] == "/console/settings"
    assert Tenant.objects.get(id=tenant.id).require_mfa
    assert (
        'name="require_mfa"'
        not in logged_in(tenant, "admin", email="a@example.com").get("/console/members").content.decode()
    )


def test_the_secret_is_shown_only_after_a_fresh_proof_and_each_look_is_written_down(tenant: Any) -> None:
    browser = logged_in(tenant, "admin")
    assert not SECRET.search(browser.get("/console/settings").content.decode())
    shown = browser.post("/console/settings/secret")
    assert SECRET.search(text_of(shown))
    assert "no-store" in shown["Cache-Control"]
    assert AuditEvent.objects.get(tenant_id=tenant.id, action="signing-secret.read").actor_type == "member"
    browser.forget_proof()
    for path in ("/console/settings/secret", "/console/settings/secret/rotate"):
        answer = browser.post(path, Referer="https://localhost/console/settings")
        assert answer["Location"] == "/console/step-up?next=%2Fconsole%2Fsettings"


def test_the_secret_is_rotated_with_an_overlap(tenant: Any) -> None:
    browser = logged_in(tenant, "admin")
    old = SECRET.search(text_of(browser.post("/console/settings/secret")))
    shown = text_of(browser.post("/console/settings/secret/rotate", {"overlap_seconds": "3600"}))
    new = SECRET.search(shown)
    assert old is not None
    assert new is not None
    assert new[0] != old[0]
    assert "The one before it signs beside it until" in shown
    assert browser.post("/console/settings/secret/rotate", {"overlap_seconds": "9999999"}).status_code == 422
