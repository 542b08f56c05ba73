"""The log tells each login and each proof, right or wrong, of which account and by what; and no secret."""

from __future__ import annotations

from typing import Any

import pytest

from tenants import second_factors
from tenants.console import login, proof, signing_in
from tenants.models import Account
from tests.console.people import PASSWORD, Browser, code_of, logged_in
from tests.console.test_factors import add_totp, pass_second_factor
from tests.factories import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    for module in (login, proof, signing_in, second_factors):
        monkeypatch.setattr(module, "log_event", lambda event, **fields: events.append((event, fields)))
    return events


def test_logins_and_proofs_are_told_with_their_account_and_kind(
    tenant: Tenant, told: list[tuple[str, dict[str, Any]]]
) -> None:
    first = logged_in(tenant, email="ada@example.com")
    seed, codes = add_totp(first)
    account = {"account_id": Account.objects.get().id}
    told.clear()
    browser = Browser()
    browser.log_in("ada@example.com", "a wrong password")
    browser.log_in("nobody@example.com")
    browser.log_in("ada@example.com")
    pass_second_factor(browser, "000000")
    pass_second_factor(browser, code_of(seed))
    browser.post("/console/step-up", {"code": "000000"})
    browser.post("/console/step-up", {"code": codes[0]})
    stranger = Browser()
    stranger.get("/console/login")
    stranger.post("/console/login/passkey/options")
    stranger.post("/console/login/passkey", {"credential": "{}"})
    warned = {"level": "warning"}
    assert told == [
        ("login_failed", {**warned, "kind": "password"}),
        ("login_failed", {**warned, "kind": "password"}),
        ("login_failed", {**warned, "kind": "second factor", **account}),
        ("login_succeeded", {**account, "kind": "password and totp"}),
        ("step_up_failed", {**warned, **account}),
        ("recovery_code_used", {**warned, **account}),
        ("step_up_succeeded", account),
        ("login_failed", {**warned, "kind": "webauthn"}),
    ]
    assert not any(secret in str(told) for secret in (PASSWORD, seed, *codes, "ada@"))
