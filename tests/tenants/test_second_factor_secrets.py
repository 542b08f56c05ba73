"""Seeds and codes of second factors: random, long enough, and good for a short while."""

from __future__ import annotations

import base64
import time
from types import SimpleNamespace

import pytest
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import generate_totp_secret

from tenants.second_factors import RECOVERY, add_totp, renew_recovery_codes, verify_code
from tests.console.people import code_of, join
from tests.factories import Tenant

pytestmark = pytest.mark.django_db
PERIOD = 30


def with_app(tenant: Tenant) -> tuple[object, str, list[str]]:
    account_id = join(tenant, "ada@example.com").account_id
    assert account_id is not None
    seed = generate_totp_secret()
    return account_id, seed, add_totp(account_id, seed, code_of(seed, periods=-1), kept_session=None)


def test_seeds_and_recovery_codes_are_random_and_long_enough(tenant: Tenant) -> None:
    seeds = {generate_totp_secret() for _ in range(100)}
    assert (len(seeds), {len(base64.b32decode(seed)) for seed in seeds}) == (100, {20})
    account_id, _, codes = with_app(tenant)
    sets = [codes, *(renew_recovery_codes(account_id, kept_session=None) for _ in range(9))]  # type: ignore[arg-type]
    every = {code for one in sets for code in one}
    assert (len(every), {len(code) for code in every}) == (100, {10})
    assert all(code.isdigit() for code in every)
    # Each digit is there in each place, as of numbers drawn evenly.
    assert all(len({code[at] for code in every}) >= 8 for at in range(10))


def test_a_code_of_an_app_is_good_for_a_minute_and_a_half(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id, seed, _ = with_app(tenant)
    start = (int(time.time()) // PERIOD + 10) * PERIOD
    code = auth.format_hotp_value(auth.hotp_value(seed, start // PERIOD))

    def kind_at(now: float) -> str | None:
        monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now))
        return verify_code(account_id, code)  # type: ignore[arg-type]

    for now in (start - PERIOD - 1, start + 2 * PERIOD):
        assert kind_at(now) is None
    assert kind_at(start + 2 * PERIOD - 1) == "totp"
    assert kind_at(start) is None  # it was good once


def test_a_recovery_code_is_not_spent_by_a_wrong_one(tenant: Tenant) -> None:
    account_id, _, codes = with_app(tenant)
    for wrong in ("0" * 10, codes[0][:-1], f"{codes[0]}0", "", "x" * 10, "\u0660" * 10):
        assert verify_code(account_id, wrong) is None  # type: ignore[arg-type]
    for code in codes:
        assert verify_code(account_id, code) == RECOVERY  # type: ignore[arg-type]
        assert verify_code(account_id, code) is None  # type: ignore[arg-type]
