"""Sessions end by idleness, by age and by hand; a person sees and ends only their own."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from jobservice.ids import TENANT, show_id
from tenants.console.session_store import new_session_key
from tenants.models import Account, LoginSession, Member
from tests.console.people import Browser, join, logged_in
from tests.console.test_factors import add_totp
from tests.factories import Tenant
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def is_in(browser: Browser) -> bool:
    return bool(browser.get("/console/").status_code == 200)


@pytest.mark.parametrize(
    "change",
    [
        {"last_seen_at": Now() - timedelta(hours=12, seconds=1)},
        {"expires_at": Now() - timedelta(seconds=1)},
    ],
    ids=["idle", "old"],
)
def test_a_session_ends_by_itself(tenant: Tenant, change: dict[str, object]) -> None:
    browser = logged_in(tenant)
    assert is_in(browser)
    LoginSession.objects.update(**change)
    assert not is_in(browser)


def test_use_keeps_it_from_idling_but_makes_it_no_younger(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    LoginSession.objects.update(last_seen_at=Now() - timedelta(hours=11))
    before = browser.session
    assert is_in(browser)
    browser.post("/console/step-up", {"password": "a long pass phrase for tests"})
    after = browser.session
    assert after.last_seen_at - before.last_seen_at > timedelta(hours=10)
    assert after.expires_at == before.expires_at


def test_a_page_that_refreshes_itself_is_no_use(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    LoginSession.objects.update(last_seen_at=Now() - timedelta(hours=11))
    before, page_of = browser.session, show_id(TENANT, tenant.id)
    for _ in range(2):
        assert browser.get("/console/jobs/rows", Live=page_of).status_code == 200
    assert browser.session.last_seen_at == before.last_seen_at
    LoginSession.objects.update(last_seen_at=Now() - timedelta(hours=12, seconds=1))
    assert browser.get("/console/jobs/rows", Live=page_of)["Location"].startswith("/console/login")


def test_any_number_is_open_at_once(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    browsers = [Browser(f"192.0.{at}.1") for at in range(12)]
    for browser in browsers:
        browser.log_in("ada@example.com")
    assert all(is_in(browser) for browser in browsers)
    assert len({browser.session_key for browser in browsers}) == 12


def test_keys_have_256_random_bits_and_none_is_taken_that_was_not_given() -> None:
    keys = {new_session_key() for _ in range(100)}
    assert (len(keys), {len(base64.urlsafe_b64decode(f"{key}=")) for key in keys}) == (100, {32})


def test_no_account_goes_while_a_session_of_it_is_there(tenant: Tenant) -> None:
    logged_in(tenant, email="ada@example.com")
    Member.objects.filter(email="ada@example.com").update(account_id=None, status="removed")
    with pytest.raises(IntegrityError, match="login_session_account_id_fkey"), transaction.atomic():
        Account.objects.filter(email="ada@example.com").delete()


def test_an_operators_command_ends_those_of_one_account_or_of_all(tenant: Tenant) -> None:
    ada, eve = (logged_in(tenant, email=f"{name}@example.com") for name in ("ada", "eve"))
    waiting = Browser()
    assert run("end_sessions", "Ada@example.com") == "1 sessions are ended.\n"
    assert (is_in(ada), is_in(eve)) == (False, True)
    add_totp(eve)
    waiting.log_in("eve@example.com")
    assert run("end_sessions", "--all") == "2 sessions are ended.\n"
    assert not is_in(eve)
    assert waiting.get("/console/login/second-factor")["Location"] == "/console/login"
    assert ada.log_in("ada@example.com").status_code == 302
    assert "There is no account" in refused("end_sessions", "nobody@example.com")
    for arguments in ((), ("ada@example.com", "--all")):
        assert "Name an account" in refused("end_sessions", *arguments)


def test_at_the_end_the_browser_is_told_to_forget_what_it_was_shown(tenant: Tenant) -> None:
    by_logout, by_list, by_leaving = (logged_in(tenant, email=f"{name}@example.com") for name in ("a", "b", "c"))
    answers = [
        by_logout.post("/console/logout"),
        by_list.post(f"/console/account/sessions/{by_list.session.key_hash}/end"),
        by_leaving.post("/console/members/leave"),
    ]
    for answer in answers:
        assert (answer["Location"], answer["Clear-Site-Data"]) == ("/console/login", '"cache", "storage"')


def test_every_page_of_somebody_shows_how_to_log_out(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    for path in (
        "",
        "jobs",
        "errors",
        "queues",
        "webhooks",
        "keys",
        "members",
        "audit",
        "usage",
        "settings",
        "account",
    ):
        page = browser.get(f"/console/{path}")
        assert page.status_code == 200
        assert 'action="/console/logout"' in page.content.decode()


def test_ones_sessions_are_listed_and_ended(tenant: Tenant) -> None:
    first = logged_in(tenant, email="ada@example.com")
    others = [Browser(f"192.0.2.{at}") for at in (1, 2)]
    for other in others:
        other.log_in("ada@example.com")
    page = first.get("/console/account").content.decode()
    assert "192.0.2.1" in page
    assert page.count("this one") == 1
    assert first.post(f"/console/account/sessions/{others[0].session.key_hash}/end").status_code == 302
    assert [is_in(other) for other in others] == [False, True]
    assert first.post("/console/account/sessions/end-others").status_code == 302
    assert not is_in(others[1])
    assert is_in(first)
    assert first.post(f"/console/account/sessions/{first.session.key_hash}/end")["Location"] == "/console/login"
    assert not is_in(first)


def test_nobody_ends_the_session_of_another(tenant: Tenant) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    join(tenant, "eve@example.com", "admin")
    stranger = Browser()
    stranger.log_in("eve@example.com")
    assert stranger.post(f"/console/account/sessions/{browser.session.key_hash}/end").status_code == 404
    stranger.post("/console/account/sessions/end-others")
    assert is_in(browser)
