"""Races of people: tries to log in, an invitation or a code used twice, two owners who remove each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.contrib.sessions.backends.base import UpdateError

from jobservice.errors import Conflict, Forbidden, NotFound, TooManyTries, Unavailable
from tenants.accounts import change_password, make_reset_link, redeem_reset
from tenants.console.session_store import SessionStore
from tenants.login_throttle import OF_ACCOUNT, OF_NETWORK, OF_PAIR, PASSWORD, take_try
from tenants.member_changes import remove_member
from tenants.members import invite_member
from tenants.models import Account, LoginSession, Member
from tenants.redemption import redeem_with_password
from tenants.second_factors import add_totp, renew_recovery_codes, verify_code
from tests.console.people import PASSWORD as PASS_PHRASE
from tests.console.people import Browser, code_of, join, logged_in
from tests.factories import Tenant

Race = Callable[..., list[Any]]


def attempt(act: Callable[[], object], *refusals: type[Exception]) -> Callable[[], str]:
    """What came of it: an error of these kinds is a refusal."""

    def run() -> str:
        try:
            act()
        except refusals:
            return "refused"
        return "done"

    return run


def verify(account_id: UUID, code: str) -> str:
    return "refused" if verify_code(account_id, code) is None else "done"


def test_tries_from_many_networks_at_once_are_no_more_than_one_after_another(race: Race) -> None:
    def of_account(at: int) -> Callable[[], str]:
        address = ip_address(f"10.0.{at}.1")
        return attempt(partial(take_try, PASSWORD, account="ada@example.com", address=address), TooManyTries)

    outcomes = [one for turn in range(5) for one in race("web", *map(of_account, range(turn * 25, turn * 25 + 25)))]
    # One comes back in a minute.
    assert OF_ACCOUNT[PASSWORD].tries <= Counter(outcomes)["done"] <= OF_ACCOUNT[PASSWORD].tries + 1


def test_tries_from_one_place_at_once_are_no_more_than_one_after_another(race: Race) -> None:
    address = ip_address("192.0.2.1")
    one = attempt(partial(take_try, PASSWORD, account="ada@example.com", address=address), TooManyTries)
    assert Counter(race("web", *[one] * 25)) == {
        "done": OF_PAIR[PASSWORD].tries,
        "refused": 25 - OF_PAIR[PASSWORD].tries,
    }


def test_a_network_gets_no_more_by_trying_many_accounts_at_once(race: Race) -> None:
    def of_network(at: int) -> Callable[[], str]:
        address = ip_address("192.0.2.1")
        return attempt(partial(take_try, PASSWORD, account=f"{at}@example.com", address=address), TooManyTries)

    outcomes = [one for turn in range(4) for one in race("web", *map(of_network, range(turn * 25, turn * 25 + 25)))]
    # One comes back in twenty seconds, and a busy machine may take that long.
    assert OF_NETWORK.tries <= Counter(outcomes)["done"] <= OF_NETWORK.tries + 2


def test_an_invitation_is_redeemed_once_and_makes_one_account(racing_tenant: Tenant, race: Race) -> None:
    new = invite_member(racing_tenant.id, email="ada@example.com", role="owner")
    redeem = attempt(partial(redeem_with_password, new.invitation, PASS_PHRASE), Conflict, Unavailable)
    assert Counter(race("web", *[redeem] * 8)) == {"done": 1, "refused": 7}
    assert Member.objects.get().account_id == Account.objects.get().id


def test_a_reset_link_is_spent_once(racing_tenant: Tenant, race: Race) -> None:
    join(racing_tenant, "ada@example.com")
    link = make_reset_link(Account.objects.get().id)
    passwords = [f"another long password {at}" for at in range(6)]
    acts = [attempt(partial(redeem_reset, link.text, new), Conflict, Unavailable) for new in passwords]
    assert Counter(race("web", *acts)) == {"done": 1, "refused": 5}


def test_a_code_is_taken_once(racing_tenant: Tenant, race: Race) -> None:
    join(racing_tenant, "ada@example.com")
    account_id, seed = Account.objects.get().id, generate_totp_secret()
    codes = add_totp(account_id, seed, code_of(seed, periods=-1), kept_session=None)
    for code in (code_of(seed), codes[0]):
        assert Counter(race("web", *[partial(verify, account_id, code)] * 6)) == {"done": 1, "refused": 5}


def test_recovery_codes_renewed_at_once_are_one_set(racing_tenant: Tenant, race: Race) -> None:
    join(racing_tenant, "ada@example.com")
    account_id, seed = Account.objects.get().id, generate_totp_secret()
    add_totp(account_id, seed, code_of(seed), kept_session=None)
    race("web", *[lambda: renew_recovery_codes(account_id, kept_session=None)] * 4)
    assert Authenticator.objects.filter(type="recovery_codes").count() == 1


def test_two_owners_who_remove_each_other_leave_one(racing_tenant: Tenant, race: Race) -> None:
    one, other = join(racing_tenant, "one@example.com"), join(racing_tenant, "other@example.com")
    acts = [
        attempt(partial(remove_member, racing_tenant.id, a, b), Forbidden, Conflict, NotFound)
        for a, b in ((one.id, other.id), (other.id, one.id))
    ]
    assert Counter(race("web", *acts)) == {"done": 1, "refused": 1}
    assert Member.objects.filter(status="active").count() == 1


def test_two_owners_who_leave_at_once_leave_one(racing_tenant: Tenant, race: Race) -> None:
    owners = [join(racing_tenant, f"{name}@example.com").id for name in ("one", "other")]
    acts = [attempt(partial(remove_member, racing_tenant.id, own, own), Conflict) for own in owners]
    assert Counter(race("web", *acts)) == {"done": 1, "refused": 1}


def test_requests_with_one_cookie_at_once_leave_one_session_of_the_first_ones_age(
    racing_tenant: Tenant, race: Race
) -> None:
    first = logged_in(racing_tenant)
    expiry = first.session.expires_at
    twins = [Browser() for _ in range(4)]
    for twin in twins:
        twin.client.cookies.update(first.client.cookies)
    answers = race("web", *[partial(twin.post, "/console/step-up", {"password": PASS_PHRASE}) for twin in twins])
    assert "/console/" in [answer["Location"] for answer in answers if answer.status_code == 302]
    assert LoginSession.objects.get().expires_at == expiry


def test_no_login_with_the_old_password_outlives_its_change(racing_tenant: Tenant, race: Race) -> None:
    join(racing_tenant, "ada@example.com")
    account_id = Account.objects.get().id
    for turn in range(5):
        old, new = (PASS_PHRASE if turn == 0 else f"another long password {turn - 1}"), f"another long password {turn}"
        browsers = [Browser(f"10.{turn}.{at}.1") for at in range(3)]
        acts = [partial(browser.log_in, "ada@example.com", old) for browser in browsers]
        race("web", *acts, partial(change_password, account_id, new, kept_session=None))
        assert [browser.get("/console/account").status_code for browser in browsers] == [302] * 3


def test_a_session_that_was_ended_is_not_written_back(racing_tenant: Tenant, race: Race) -> None:
    """Ended by somebody else between being read and being saved."""
    join(racing_tenant, "ada@example.com")

    def outlive() -> str:
        store = SessionStore()
        store["account"] = str(Account.objects.get().id)
        store.create()
        LoginSession.objects.all().delete()
        store["x"] = 1
        try:
            store.save()
        except UpdateError as error:
            return type(error).__name__
        return "saved"

    assert race("web", outlive) == ["UpdateError"]
    assert not LoginSession.objects.exists()
