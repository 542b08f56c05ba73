"""A fresh proof before what gives rights away or cannot be undone; another key with each proof and turn."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import resolve

from jobservice.ids import TENANT, show_id
from tenants.console.access import permission_for
from tenants.console.answers import find_page
from tenants.console.urls import urlpatterns
from tenants.models import Member
from tests.console.people import PASSWORD, Browser, join, logged_in
from tests.factories import Tenant, make_job

pytestmark = pytest.mark.django_db
INVITE = {"email": "eve@example.com", "role": "viewer"}


def test_an_old_login_must_be_proved_again_and_then_acts(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    browser.forget_proof()
    answer = browser.post("/console/members/invite", INVITE, Referer="https://localhost/console/members")
    assert answer["Location"] == "/console/step-up?next=%2Fconsole%2Fmembers"
    assert not Member.objects.filter(email="eve@example.com").exists()
    key = browser.session_key
    assert browser.post("/console/step-up", {"password": "wrong"}).status_code == 422
    assert browser.post("/console/members/invite", INVITE).status_code == 302
    proved = browser.post("/console/step-up", {"password": PASSWORD, "next": "/console/members"})
    assert proved["Location"] == "/console/members"
    assert browser.session_key != key
    assert browser.post("/console/members/invite", INVITE).status_code == 200
    assert Member.objects.filter(email="eve@example.com").exists()


def test_a_proof_leads_back_to_the_list_as_it_was_searched(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    browser.forget_proof()
    page = "https://localhost/console/jobs?q=queue:mail%20type:a%26b"
    answer = browser.post("/console/jobs/erase", {"job": "x"}, Referer=page)
    assert parse_qs(urlsplit(answer["Location"]).query)["next"] == ["/console/jobs?q=queue:mail%20type:a%26b"]
    for elsewhere in ("https://evil.example/console/jobs", "https://localhost//evil.example/console/", "https://[", ""):
        answer = browser.post("/console/jobs/erase", {"job": "x"}, Referer=elsewhere)
        assert answer["Location"] == "/console/step-up?next=%2Fconsole%2F"


@pytest.mark.parametrize(
    ("act", "page"),
    [
        ("jobs/{job}/reveal", "jobs/{job}"),
        ("jobs/erase", "jobs"),
        ("members/invite", "members"),
        ("account/recovery-codes", "account"),
        ("settings/secret/rotate", "settings"),
        ("webhooks/x/deliveries/y/resend", "webhooks/x"),
        ("logout", ""),
        ("nowhere/at/all", "nowhere/at/all"),
        ("members?x=/invite", "members?x=/invite"),
    ],
)
def test_nobody_is_led_back_to_where_only_a_form_may_go(tenant: Tenant, act: str, page: str) -> None:
    """What an act answers stands at its address, which a browser that comes back by a link would find empty."""
    job, browser = make_job(tenant)["id"], logged_in(tenant)
    address, wanted = (f"/console/{path.format(job=job)}" for path in (act, page))
    assert browser.post("/console/preferences", {"theme": "dark", "next": address})["Location"] == wanted
    assert browser.post("/console/step-up", {"password": PASSWORD, "next": address})["Location"] == wanted
    browser.forget_proof()
    answer = browser.post("/console/members/leave", Referer=f"https://localhost{address}")
    assert parse_qs(urlsplit(answer["Location"]).query)["next"] == [wanted]


def test_every_act_leads_back_to_a_page() -> None:
    for pattern in urlpatterns:
        address = "/console/" + re.sub(r"<[^>]+>", "1", str(pattern.pattern))
        back = find_page(address)
        assert back is not None
        assert permission_for(resolve(back).func.view_class, "GET") is not None, address  # type: ignore[attr-defined]


def test_the_key_before_a_proof_opens_nothing(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    thief = Browser()
    thief.client.cookies["__Host-jobservice"] = browser.session_key
    assert thief.get("/console/").status_code == 200
    browser.post("/console/step-up", {"password": PASSWORD})
    assert thief.get("/console/").status_code == 302


def test_a_turn_to_another_tenant_changes_the_key_and_what_is_seen(tenant: Tenant, other_tenant: Tenant) -> None:
    join(tenant, "ada@example.com", "owner")
    join(other_tenant, "ada@example.com", "viewer")
    browser = Browser()
    browser.log_in("ada@example.com")
    assert browser.get("/console/")["Location"] == "/console/tenants"
    page = browser.get("/console/tenants").content.decode()
    for one in (tenant, other_tenant):
        key = browser.session_key
        shown = page.split(f">{one.name} (")[0].rsplit('value="', 1)[1].split('"')[0]
        assert browser.post("/console/tenants", {"tenant": shown})["Location"] == "/console/"
        assert browser.session_key != key
        assert one.name in browser.get("/console/").content.decode()
    assert browser.post("/console/members/invite", INVITE).status_code == 403


def test_a_page_of_before_the_turn_shows_nothing_of_the_next_tenant_and_acts_on_nothing(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    for one in (tenant, other_tenant):
        join(one, "ada@example.com", "owner")
    browser = Browser()
    browser.log_in("ada@example.com")
    browser.post("/console/tenants", {"tenant": show_id(TENANT, tenant.id)})
    lying_open = browser.get("/console/").content.decode()
    page_of = show_id(TENANT, tenant.id)
    assert f'data-tenant="{page_of}"' in lying_open
    assert browser.get("/console/jobs/rows", Live=page_of).status_code == 200
    token = lying_open.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    browser.post("/console/tenants", {"tenant": show_id(TENANT, other_tenant.id)})
    for part in ("jobs/rows", "overview/board", "overview/figures", "queues/ROWS", "errors/rows", "usage/quotas"):
        assert browser.get(f"/console/{part}", Live=page_of).status_code == 409
        assert browser.get(f"/console/{part}", Live=show_id(TENANT, other_tenant.id)).status_code == 200
    assert browser.post("/console/members/invite", {**INVITE, "csrfmiddlewaretoken": token}).status_code == 403
    assert not Member.objects.filter(email="eve@example.com").exists()


def test_nothing_is_erased_without_a_fresh_proof(tenant: Tenant) -> None:
    job, browser = make_job(tenant), logged_in(tenant)
    browser.forget_proof()
    alone = browser.post(f"/console/jobs/{job['id']}/erase", Referer=f"https://localhost/console/jobs/{job['id']}")
    assert alone["Location"] == f"/console/step-up?next=%2Fconsole%2Fjobs%2F{job['id']}"
    for form in ({"job": job["id"]}, {"job": job["id"], "confirmed": "yes"}, {"all": "1", "q": "type:echo"}):
        assert browser.post("/console/jobs/erase", form)["Location"].startswith("/console/step-up")


def test_a_proof_in_one_session_is_none_in_another(tenant: Tenant) -> None:
    one = logged_in(tenant, email="ada@example.com")
    other = Browser()
    other.log_in("ada@example.com")
    for browser in (one, other):
        browser.forget_proof()
    one.post("/console/step-up", {"password": PASSWORD})
    assert one.post("/console/members/invite", INVITE).status_code == 200
    assert other.post("/console/members/invite", INVITE)["Location"].startswith("/console/step-up")


def test_nobody_turns_to_a_tenant_of_others(tenant: Tenant, other_tenant: Tenant) -> None:
    browser = logged_in(tenant)
    assert browser.post("/console/tenants", {"tenant": show_id(TENANT, other_tenant.id)}).status_code == 404
    assert browser.post("/console/tenants", {"tenant": "nonsense"}).status_code == 404
