"""Sealed seeds of second factors: good for the account and the kind that they were made for, and for no other."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret

from jobservice.errors import Unreadable
from tenants.second_factors import add_totp, count_recovery_codes, verify_code
from tenants.seeds import SETTING_UP, open_seed, seal_seed, seeds_of
from tests.console.people import code_of, join
from tests.factories import Tenant

pytestmark = pytest.mark.django_db


def with_app(tenant: Tenant, email: str) -> tuple[Authenticator, str, str]:
    """The app of a new account, its seed, and a recovery code."""
    account_id = join(tenant, email).account_id
    assert account_id is not None
    seed = generate_totp_secret()
    codes = add_totp(account_id, seed, code_of(seed, periods=-1), kept_session=None)
    return Authenticator.objects.get(user_id=account_id, type="totp"), seed, codes[0]


def test_a_seed_that_was_moved_to_another_account_does_not_open(tenant: Tenant) -> None:
    mine, seed, _ = with_app(tenant, "mallory@example.com")
    theirs, _, _ = with_app(tenant, "ada@example.com")
    Authenticator.objects.filter(id=theirs.id).update(data=mine.data)
    with pytest.raises(Unreadable):
        verify_code(theirs.user_id, code_of(seed))
    assert verify_code(mine.user_id, code_of(seed)) == "totp"


def test_recovery_codes_that_were_moved_to_another_account_do_not_open(tenant: Tenant) -> None:
    mine, _, code = with_app(tenant, "mallory@example.com")
    theirs, _, _ = with_app(tenant, "ada@example.com")
    moved = Authenticator.objects.get(user_id=mine.user_id, type="recovery_codes").data
    Authenticator.objects.filter(user_id=theirs.user_id, type="recovery_codes").update(data=moved)
    Authenticator.objects.filter(id=theirs.id).delete()
    for look in (lambda: verify_code(theirs.user_id, code), lambda: count_recovery_codes(theirs.user_id)):
        with pytest.raises(Unreadable):
            look()
    assert verify_code(mine.user_id, code) == "recovery_codes"


def test_a_seed_is_of_one_kind(tenant: Tenant) -> None:
    account_id = join(tenant, "ada@example.com").account_id
    assert account_id is not None
    with seeds_of(account_id, SETTING_UP):
        sealed = seal_seed("seed")
        assert open_seed(sealed) == "seed"
    for kind in ("totp", "recovery_codes"):
        with seeds_of(account_id, kind), pytest.raises(Unreadable):
            open_seed(sealed)


def test_nothing_is_sealed_for_nobody(db: None) -> None:
    with pytest.raises(LookupError):
        seal_seed("seed")
