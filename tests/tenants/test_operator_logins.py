"""The operator's commands for logins: whoever held an address before holds nothing of an operator's account."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator

from tenants.accounts import find_account, find_reset, make_mailed_link, make_reset_link, redeem_reset
from tenants.models import Account, LoginSession
from tests.console.people import PASSWORD, Browser, join, logged_in
from tests.factories import Tenant
from tests.roles import as_role
from tests.tenants.commands import run

pytestmark = pytest.mark.django_db

OTHER = "another long pass phrase"


def link_in(printed: str) -> str:
    (text,) = re.findall(r"/console/reset/(\S+)", printed)
    return str(text)


def add_passkey(account: Account) -> None:
    Authenticator.objects.create(user=account, type="webauthn", data={"name": "key", "credential": {}})


def test_who_held_an_address_before_holds_nothing_of_the_operator(tenant: Tenant) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    account = Account.objects.get(email="ada@example.com")
    add_passkey(account)
    earlier = make_reset_link(account.id)
    printed = run("create_operator", "Ada@example.com")
    assert not Authenticator.objects.exists()
    assert not LoginSession.objects.exists()
    assert browser.get("/console/")["Location"].startswith("/console/login")
    assert Browser().log_in("ada@example.com", PASSWORD).status_code == 422
    assert find_reset(earlier.text) is None
    assert "had an account" in printed
    assert "1 second factors" in printed
    redeem_reset(link_in(printed), OTHER)
    account.refresh_from_db()
    assert account.is_staff
    assert Browser().log_in("ada@example.com", OTHER).status_code == 302


def test_an_operator_of_a_new_address_gets_a_link_and_nothing_is_said_of_an_account(db: None) -> None:
    printed = run("create_operator", "ada@example.com")
    assert "had an account" not in printed
    redeem_reset(link_in(printed), OTHER)
    assert Account.objects.get(email="ada@example.com").is_staff


def test_passkeys_that_a_reset_leaves_are_told(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    assert "passkey" not in run("reset_login", "ada@example.com")
    account = Account.objects.get(email="ada@example.com")
    add_passkey(account)
    printed = run("reset_login", "ada@example.com")
    assert "1 passkeys stay, and each logs in without any password" in printed
    assert Authenticator.objects.count() == 1
    assert "stay" not in run("reset_login", "ada@example.com", "--factors")
    assert not Authenticator.objects.exists()


def test_a_mail_that_anybody_may_ask_for_leaves_a_printed_link_good(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    account = find_account("ada@example.com")
    assert account is not None
    with as_role("web"):
        mailed = make_mailed_link(account.id)
    assert mailed is not None
    printed = link_in(run("reset_login", "ada@example.com"))
    assert find_reset(mailed.text) is None
    with as_role("web"):
        assert make_mailed_link(account.id) is None
    redeem_reset(printed, OTHER)
    with as_role("web"):
        again = make_mailed_link(account.id)
        assert again is not None
        assert find_reset(again.text) is not None
        assert make_mailed_link(account.id) is not None
