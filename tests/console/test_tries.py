"""What tries cost: all spellings are one account, a login is one try, strangers bind nobody who is in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobservice.errors import TooManyTries
from tenants.login_key import name_under_key
from tenants.login_throttle import OF_NETWORK, OF_PAIR, PASSWORD, take_try
from tenants.models import LoginThrottle
from tests.console.people import PASSWORD as RIGHT
from tests.console.people import Browser, code_of, join, logged_in
from tests.console.test_factors import add_totp, pass_second_factor
from tests.factories import Tenant

pytestmark = pytest.mark.django_db

SPELLINGS = [
    "ada@exam\u200bple.com",
    "ada@exam\u00adple.com",
    "ada@\uff45xample.com",
    "ADA@EXAMPLE.COM",
    " ada@example.com",
]


def exhaust(address: str, email: str) -> None:
    """Use up what tries a network has for an account."""
    for _ in range(OF_PAIR[PASSWORD].tries + 1):
        answer = Browser(address).log_in(email, "wrong password")
    assert answer.status_code == 429


def left_of(network: str) -> int:
    """How many tries a network still has."""
    row = LoginThrottle.objects.filter(key=name_under_key("network", network)).annotate(now=Now()).first()
    used = 0.0 if row is None else (row.used_until - row.now).total_seconds()
    return OF_NETWORK.tries - round(used / OF_NETWORK.seconds)


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
def test_another_spelling_of_an_address_gives_no_other_tries(tenant: Tenant, spelling: str) -> None:
    join(tenant, "ada@example.com")
    assert Browser("192.0.2.9").log_in(spelling).status_code == 302, "it is the same account"
    exhaust("192.0.2.9", "ada@example.com")
    assert Browser("192.0.2.9").log_in(spelling, "wrong password").status_code == 429


def test_a_network_that_is_refused_uses_up_no_account_and_writes_nothing(tenant: Tenant) -> None:
    for at in range(OF_NETWORK.tries):
        take_try(PASSWORD, account=f"{at}@example.com", address=None)
    LoginThrottle.objects.exclude(key=name_under_key("network", "unknown")).delete()
    for at in range(5):
        with pytest.raises(TooManyTries):
            take_try(PASSWORD, account=f"other-{at}@example.com", address=None)
    assert LoginThrottle.objects.count() == 1


def test_counts_that_bind_nobody_go_without_any_success(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.login_throttle.TRIM_EVERY", 1)
    LoginThrottle.objects.create(key="0" * 64, used_until=Now() - timedelta(days=2))
    assert Browser().log_in("nobody@example.com").status_code == 422
    assert not LoginThrottle.objects.filter(key="0" * 64).exists()


def test_strangers_keep_nobody_from_their_own_step_up_or_password(tenant: Tenant) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    exhaust("127.0.0.1", "ada@example.com")
    assert browser.post("/console/step-up", {"password": RIGHT}).status_code == 302
    form = {"current": RIGHT, "password": "another long password"}
    assert browser.post("/console/account/password", form).status_code == 302


def test_whoever_holds_a_session_guesses_no_further_than_a_stranger(tenant: Tenant) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    statuses = [browser.post("/console/step-up", {"password": "wrong"}).status_code for _ in range(12)]
    assert statuses == [422] * 10 + [429] * 2


def test_one_network_keeps_nobody_out_who_comes_from_another(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    exhaust("192.0.2.1", "ada@example.com")
    exhaust("2001:db8:1:1::1", "ada@example.com")
    assert Browser("2001:db8:1:2::1").log_in("ada@example.com", "wrong").status_code == 429, "one customer's /48"
    assert Browser("198.51.100.1").log_in("ada@example.com").status_code == 302


def test_a_login_of_two_steps_costs_its_network_one_try(tenant: Tenant) -> None:
    seed, _ = add_totp(logged_in(tenant, email="ada@example.com"))
    browser = Browser("192.0.2.1")
    assert left_of("192.0.2.0/24") == OF_NETWORK.tries
    browser.log_in("ada@example.com")
    assert pass_second_factor(browser, code_of(seed)).status_code == 302
    assert left_of("192.0.2.0/24") == OF_NETWORK.tries - 1


def test_a_passkey_login_costs_its_network_one_try(tenant: Tenant) -> None:
    browser = Browser("192.0.2.1")
    browser.get("/console/login")
    assert browser.post("/console/login/passkey/options").status_code == 200
    assert browser.post("/console/login/passkey", {"credential": "{}"}).status_code == 422
    assert left_of("192.0.2.0/24") == OF_NETWORK.tries - 1
