"""What is over stays over: sessions ended during a request, and logins begun before the account's proofs changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator

from tenants import accounts
from tenants.accounts import change_password, check_login, is_password_of
from tenants.console.signing_in import own_session
from tenants.models import Account, LoginSession
from tenants.second_factors import remove_all_factors
from tests.console.people import PASSWORD, SESSION, Browser, code_of, join, logged_in
from tests.console.test_factors import add_totp, pass_second_factor, seed_on
from tests.factories import Tenant

pytestmark = pytest.mark.django_db
ANOTHER = "another long password"


def before(call: Callable[..., Any], act: Callable[[], object]) -> Callable[..., Any]:
    """The call, and then what comes to pass before its caller goes on."""

    def run(*arguments: Any, **named: Any) -> Any:
        found = call(*arguments, **named)
        act()
        return found

    return run


def is_in(browser: Browser) -> bool:
    return bool(browser.get("/console/account").status_code == 200)


def test_a_session_ended_during_its_own_proof_stays_ended(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = logged_in(tenant)
    end = before(is_password_of, lambda: LoginSession.objects.all().delete())
    monkeypatch.setattr("tenants.console.proof.is_password_of", end)
    answer = browser.post("/console/step-up", {"password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/console/login")
    assert not LoginSession.objects.exists()
    assert not is_in(browser)


def test_two_requests_with_one_cookie_leave_one_session(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, twin = logged_in(tenant), Browser()
    twin.client.cookies.update(browser.client.cookies)
    assert twin.session_key == browser.session_key
    expiry = browser.session.expires_at
    patch = pytest.MonkeyPatch()

    def meanwhile() -> None:
        patch.undo()
        assert twin.post("/console/step-up", {"password": PASSWORD})["Location"] == "/console/"

    patch.setattr("tenants.console.proof.is_password_of", before(is_password_of, meanwhile))
    assert browser.post("/console/step-up", {"password": PASSWORD})["Location"] == "/console/login"
    assert LoginSession.objects.get().expires_at == expiry
    assert twin.session.expires_at == expiry


def test_a_login_with_the_old_password_during_the_change_opens_nothing(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(tenant, "ada@example.com")
    account_id = Account.objects.get().id
    change = before(check_login, lambda: change_password(account_id, ANOTHER, kept_session=None))
    monkeypatch.setattr("tenants.console.login.check_login", change)
    browser = Browser()
    browser.log_in("ada@example.com")
    assert not is_in(browser)
    monkeypatch.undo()
    browser.log_in("ada@example.com", ANOTHER)
    assert is_in(browser)


def test_a_login_that_waits_for_its_second_factor_ends_with_the_password(tenant: Tenant) -> None:
    seed, _ = add_totp(logged_in(tenant, email="ada@example.com"))
    browser = Browser()
    assert browser.log_in("ada@example.com")["Location"] == "/console/login/second-factor"
    change_password(Account.objects.get().id, ANOTHER, kept_session=None)
    assert pass_second_factor(browser, code_of(seed))["Location"] == "/console/login"
    assert browser.get("/console/login/second-factor")["Location"] == "/console/login"
    assert not is_in(browser)


def test_a_login_that_waits_ends_with_the_factors_it_waits_for(tenant: Tenant) -> None:
    first = logged_in(tenant, email="ada@example.com")
    add_totp(first)
    browser = Browser()
    browser.log_in("ada@example.com")
    remove_all_factors(Account.objects.get().id)
    assert browser.get("/console/login/second-factor")["Location"] == "/console/login"
    assert not is_in(first)


def test_the_kept_session_goes_on_and_a_change_with_the_old_password_does_not(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = logged_in(tenant)
    form = {"current": PASSWORD, "password": ANOTHER}
    assert browser.post("/console/account/password", form).status_code == 302
    assert is_in(browser)
    account_id = Account.objects.get().id
    late = before(is_password_of, lambda: change_password(account_id, "a third long password", kept_session=None))
    monkeypatch.setattr("tenants.console.account.is_password_of", late)
    answer = browser.post("/console/account/password", {"current": ANOTHER, "password": "a thief's long password"})
    assert answer.status_code == 409
    assert is_password_of(account_id, "a third long password")
    assert not is_in(browser)


@pytest.mark.parametrize("act", ["totp", "passkey", "{factor}/remove", "recovery-codes"])
def test_a_session_that_ends_during_a_change_of_factors_changes_none(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Of a thief who is shut out by another password, while their own passkey is on its way."""
    browser = logged_in(tenant, email="ada@example.com")
    account_id, seed = Account.objects.get().id, ""
    if act == "totp":
        seed = seed_on(browser.get("/console/account/factors/totp"))
    else:
        add_totp(browser)
    monkeypatch.setattr("tenants.console.passkeys.complete_registration", lambda _text: {"id": "thief"})
    late = before(own_session, lambda: change_password(account_id, ANOTHER, kept_session=None))
    monkeypatch.setattr("tenants.console.factors.own_session", late)
    kept = list(Authenticator.objects.order_by("id").values())
    path = "recovery-codes" if act == "recovery-codes" else f"factors/{act}"
    factor = Authenticator.objects.filter(type="totp").values_list("id", flat=True).first()
    form = {"code": code_of(seed)} if seed else {}
    answer = browser.post(f"/console/account/{path.format(factor=factor)}", form)
    assert answer.status_code == 409
    assert list(Authenticator.objects.order_by("id").values()) == kept
    assert not is_in(browser)


def test_a_stale_session_joins_no_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    from tenants.members import invite_member

    browser = logged_in(tenant, email="ada@example.com")
    Account.objects.update(login_epoch=7)
    new = invite_member(other_tenant.id, email="ada@example.com", role="owner")
    answer = browser.post(f"/console/invitation/{new.invitation}")
    assert answer["Location"].startswith("/console/login")
    assert SESSION in browser.client.cookies
    assert accounts.find_account("ada@example.com") is not None
