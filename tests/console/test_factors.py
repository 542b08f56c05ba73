"""Second factors: adding, using and removing them, what they are needed for, and that no table holds their secrets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection

from tenants.login_key import login_key
from tenants.models import Account
from tenants.models import Tenant as TenantRow
from tests.console.people import PASSWORD, Browser, code_of, join, logged_in
from tests.factories import Tenant
from tests.tenants.commands import run

pytestmark = pytest.mark.django_db


def seed_on(page: Any) -> str:
    found = re.search(r'<code id="secret">([A-Z2-7 ]+)</code>', page.content.decode())
    assert found
    return found[1]


def add_totp(browser: Browser) -> tuple[str, list[str]]:
    """The seed, and the recovery codes that came with it."""
    seed = seed_on(browser.get("/console/account/factors/totp"))
    answer = browser.post("/console/account/factors/totp", {"code": code_of(seed, periods=-1)})
    assert answer.status_code == 200, answer.content
    return seed, re.findall(r"<code>(\d{10})</code>", answer.content.decode())


def pass_second_factor(browser: Browser, code: str) -> Any:
    return browser.post("/console/login/second-factor", {"code": code})


def test_a_password_alone_opens_nothing_of_an_account_with_a_second_factor(tenant: Tenant) -> None:
    first = logged_in(tenant, email="ada@example.com")
    seed, codes = add_totp(first)
    assert len(codes) == 10
    browser = Browser()
    assert browser.log_in("ada@example.com")["Location"] == "/console/login/second-factor"
    assert browser.get("/console/")["Location"].startswith("/console/login")
    assert browser.get("/console/account").status_code == 302
    assert pass_second_factor(browser, "000000").status_code == 422
    assert pass_second_factor(browser, code_of(seed)).status_code == 302
    assert browser.get("/console/").status_code == 200


def test_a_code_is_good_once(tenant: Tenant) -> None:
    seed, codes = add_totp(logged_in(tenant, email="ada@example.com"))
    for code in (code_of(seed), codes[0]):
        answers = []
        for _ in range(2):
            browser = Browser()
            browser.log_in("ada@example.com")
            answers.append(pass_second_factor(browser, code).status_code)
        assert answers == [302, 422]


def test_the_code_that_added_an_app_logs_nobody_in(tenant: Tenant) -> None:
    first = logged_in(tenant, email="ada@example.com")
    seed = seed_on(first.get("/console/account/factors/totp"))
    code = code_of(seed)
    assert first.post("/console/account/factors/totp", {"code": code}).status_code == 200
    browser = Browser()
    browser.log_in("ada@example.com")
    assert pass_second_factor(browser, code).status_code == 422


def test_other_sessions_end_with_a_change_of_factors_or_password_and_ones_own_goes_on(tenant: Tenant) -> None:
    first = logged_in(tenant, email="ada@example.com")
    other = Browser()
    other.log_in("ada@example.com")
    add_totp(first)
    assert other.get("/console/")["Location"].startswith("/console/login")
    assert first.get("/console/").status_code == 200
    other.log_in("ada@example.com")
    key = first.session_key
    form = {"current": PASSWORD, "password": "another long password"}
    assert first.post("/console/account/password", form)["Location"] == "/console/account"
    assert first.session_key != key
    assert first.get("/console/").status_code == 200


def test_seeds_and_recovery_codes_are_in_no_table(tenant: Tenant) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    seed = seed_on(browser.get("/console/account/factors/totp")).replace(" ", "")
    waiting = whole_database()
    codes = re.findall(
        r"<code>(\d{10})</code>",
        browser.post("/console/account/factors/totp", {"code": code_of(seed)}).content.decode(),
    )
    assert len(codes) == 10
    assert Authenticator.objects.count() == 2
    kept = whole_database()
    assert "ada@example.com" in kept  # it does look into the rows
    assert [secret for secret in (seed, *codes, login_key().hex(), PASSWORD) if secret in waiting + kept] == []


def whole_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        rows = []
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM \"{table}\" AS t")
            rows.append(cursor.fetchone()[0])
    return " ".join(rows)


def test_who_must_have_a_factor_is_led_to_add_one_before_anything_of_the_tenant(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    TenantRow.objects.filter(id=tenant.id).update(require_mfa=True)
    for path in ("/console/", "/console/members"):
        assert browser.get(path)["Location"] == "/console/account/factors"
    assert "You must have a second factor" in browser.get("/console/account/factors").content.decode()
    add_totp(browser)
    assert browser.get("/console/").status_code == 200


def test_operators_of_the_installation_must_have_one(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    Account.objects.update(is_staff=True)
    assert browser.get("/console/")["Location"] == "/console/account/factors"
    add_totp(browser)
    assert browser.get("/console/").status_code == 200


def test_a_last_factor_that_is_needed_cannot_be_removed(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    add_totp(browser)
    factor = Authenticator.objects.get(type="totp")
    TenantRow.objects.filter(id=tenant.id).update(require_mfa=True)
    assert browser.post(f"/console/account/factors/{factor.id}/remove").status_code == 409
    TenantRow.objects.filter(id=tenant.id).update(require_mfa=False)
    assert browser.post(f"/console/account/factors/{factor.id}/remove").status_code == 302
    assert not Authenticator.objects.exists()


def test_nobody_removes_the_factor_of_another(tenant: Tenant, other_tenant: Tenant) -> None:
    add_totp(logged_in(tenant))
    factor = Authenticator.objects.get(type="totp")
    stranger = logged_in(other_tenant)
    assert stranger.post(f"/console/account/factors/{factor.id}/remove").status_code == 404
    assert Authenticator.objects.filter(id=factor.id).exists()


def test_other_recovery_codes_end_those_before(tenant: Tenant) -> None:
    first = logged_in(tenant, email="ada@example.com")
    _, codes = add_totp(first)
    answer = first.post("/console/account/recovery-codes")
    renewed = re.findall(r"<code>(\d{10})</code>", answer.content.decode())
    assert len(renewed) == 10
    assert not set(renewed) & set(codes)
    browser = Browser()
    browser.log_in("ada@example.com")
    assert pass_second_factor(browser, codes[1]).status_code == 422
    assert pass_second_factor(browser, renewed[1]).status_code == 302


@pytest.mark.parametrize(
    "credential", ["", "{}", "[1]", '{"id": 1}', '{"response": {"userHandle": "eA"}}', "x" * 30_000]
)
def test_a_passkey_that_is_none_logs_nobody_in(tenant: Tenant, credential: str) -> None:
    join(tenant, "ada@example.com")
    browser = Browser()
    browser.get("/console/login")
    options = browser.post("/console/login/passkey/options")
    assert options.status_code == 200
    assert options.json()["publicKey"]["userVerification"] == "required"
    assert browser.post("/console/login/passkey", {"credential": credential}).status_code == 422
    assert browser.get("/console/").status_code == 302


def test_an_operators_command_gives_who_lost_everything_a_new_beginning(tenant: Tenant) -> None:
    add_totp(logged_in(tenant, email="ada@example.com"))
    printed = run("reset_login", "ada@example.com", "--factors")
    (path,) = re.findall(r"/console/reset/\S+", printed)
    browser = Browser()
    browser.get(path)
    assert browser.post(path, {"password": "short"}).status_code == 422
    assert browser.post(path, {"password": "another long password"}).status_code == 200
    assert browser.post(path, {"password": "a third long password"}).status_code == 409
    assert browser.log_in("ada@example.com", "another long password")["Location"] == "/console/"


def test_a_reset_takes_no_second_factor_away(tenant: Tenant) -> None:
    seed, _ = add_totp(logged_in(tenant, email="ada@example.com"))
    (path,) = re.findall(r"/console/reset/\S+", run("reset_login", "ada@example.com"))
    browser = Browser()
    browser.get(path)
    assert browser.post(path, {"password": "another long password"}).status_code == 200
    assert browser.log_in("ada@example.com", "another long password")["Location"] == "/console/login/second-factor"
    assert browser.get("/console/account").status_code == 302
    assert pass_second_factor(browser, code_of(seed)).status_code == 302
