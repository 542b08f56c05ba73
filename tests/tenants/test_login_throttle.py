"""The guard against guessing: bounds of an account and of a network, and what does not lift them."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest
from django.db.models import F

from jobservice.errors import TooManyTries
from tenants.login_throttle import OF_ACCOUNT, OF_NETWORK, OF_PAIR, PASSWORD, RESET, take_try
from tenants.models import LoginThrottle
from tests.console.people import PASSWORD as RIGHT
from tests.console.people import Browser, join
from tests.factories import Tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def take_all(kind: str = PASSWORD, *, account: str | None, address: str) -> int:
    """How many tries there were until one was refused."""
    for count in range(1000):
        try:
            with as_role("web"):
                take_try(kind, account=account, address=ip_address(address))
        except TooManyTries:
            return count
    raise AssertionError("no end of tries")


@pytest.mark.parametrize("kind", sorted(OF_ACCOUNT))
def test_an_account_has_so_many_tries_from_wherever_they_come(db: None, kind: str) -> None:
    for at in range(OF_ACCOUNT[kind].tries):
        take_try(kind, account="ada@example.com", address=ip_address(f"10.0.{at}.1"))
    with pytest.raises(TooManyTries) as refusal:
        take_try(kind, account="ada@example.com", address=ip_address("10.9.9.9"))
    assert refusal.value.retry_seconds == OF_ACCOUNT[kind].seconds
    take_try(kind, account="eve@example.com", address=ip_address("10.9.9.9"))


@pytest.mark.parametrize(
    ("one", "neighbour", "stranger"),
    [("192.0.2.1", "192.0.2.254", "192.0.3.1"), ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1")],
)
def test_a_network_has_so_many_tries_for_whatever_accounts(db: None, one: str, neighbour: str, stranger: str) -> None:
    assert take_all(account=None, address=one) == OF_NETWORK.tries
    assert take_all(account=None, address=neighbour) == 0
    assert take_all(RESET, account="ada@example.com", address=neighbour) == 0
    take_try(PASSWORD, account="ada@example.com", address=ip_address(stranger))


def test_tries_come_back_one_by_one(db: None) -> None:
    bound = OF_PAIR[PASSWORD]
    assert take_all(account="ada@example.com", address="192.0.2.1") == bound.tries
    LoginThrottle.objects.update(used_until=F("used_until") - timedelta(seconds=bound.seconds + 1))
    assert take_all(account="ada@example.com", address="192.0.2.1") == 1


def test_the_names_of_people_and_networks_are_not_stored(db: None) -> None:
    take_try(PASSWORD, account="zoe@example.com", address=ip_address("192.0.2.1"))
    stored = str(list(LoginThrottle.objects.values()))
    assert "zoe" not in stored  # a hash in hexadecimal never has a z
    assert "192.0.2" not in stored


def test_a_success_gives_the_network_nothing_back(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    browser = Browser()
    for _ in range(3):
        browser.log_in("eve@example.com", "wrong password")
    before = max(LoginThrottle.objects.values_list("used_until", flat=True))
    assert browser.log_in("ada@example.com").status_code == 302
    assert max(LoginThrottle.objects.values_list("used_until", flat=True)) >= before


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
def test_the_right_password_too_waits_and_unknown_addresses_wait_alike(tenant: Tenant, email: str) -> None:
    join(tenant, "ada@example.com")
    statuses = [Browser().log_in(email, "wrong password").status_code for _ in range(OF_PAIR[PASSWORD].tries)]
    assert set(statuses) == {422}
    answer = Browser().log_in(email, RIGHT)
    assert (answer.status_code, answer["Retry-After"]) == (429, "180")
