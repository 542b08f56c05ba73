"""What strangers send, and what is away or too busy, is answered with a page and never with a fault of ours."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import OperationalError, connection

from tenants import hashing
from tenants.members import invite_member
from tenants.models import Account, LoginSession
from tests.console.people import PASSWORD, Browser, join, logged_in
from tests.factories import Tenant

pytestmark = pytest.mark.django_db
CHALLENGE = "mfa.webauthn.state"


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def credential(**parts: str) -> str:
    response = {"clientDataJSON": packed(b"{}"), "authenticatorData": packed(b"x"), "signature": "AA", **parts}
    return json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": response})


BROKEN = [
    "[" * 19_000,
    '{"a":' * 3_000 + "1" + "}" * 3_000,
    credential(),
    credential(userHandle="AA"),
    credential(authenticatorData=packed(b"\0" * 32 + b"\xff" * 9)),
    credential(clientDataJSON=packed(b"[" * 9_000)),
    credential(userHandle=packed(b"\0")),
    '{"id": "\\ud800"}',
    "{}",
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_passkey_is_refused_and_spends_the_challenge(db: None, text: str) -> None:
    browser = Browser()
    browser.get("/console/login")
    browser.post("/console/login/passkey/options")
    assert CHALLENGE in browser.session.data
    assert browser.post("/console/login/passkey", {"credential": text}).status_code == 422
    assert CHALLENGE not in browser.session.data


MADE = credential(attestationObject=packed(b"\xa0"))
DEEP = credential(attestationObject=packed(b"\x81" * 5_000))


@pytest.mark.parametrize("text", [*BROKEN, MADE, DEEP, '{"id": "\\u0000"}'], ids=range(len(BROKEN) + 3))
def test_a_broken_new_passkey_is_refused_and_its_challenge_is_spent(tenant: Tenant, text: str) -> None:
    browser = logged_in(tenant)
    browser.get("/console/account/factors/passkey")
    before = browser.session.data[CHALLENGE]
    answer = browser.post("/console/account/factors/passkey", {"credential": text, "name": "mine"})
    assert answer.status_code == 422
    # The page offers another try, and so another challenge.
    assert browser.session.data[CHALLENGE] != before


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ceremony is complete."""

    class Binding:
        def is_user_verified(self) -> bool:
            return True

    monkeypatch.setattr("tenants.console.passkeys.auth.get_state", lambda: {"challenge": "x"})
    monkeypatch.setattr("tenants.console.passkeys.auth.parse_registration_response", lambda _: None)
    monkeypatch.setattr("tenants.console.passkeys.auth.complete_registration", lambda _: Binding())


@pytest.mark.parametrize("data", [{"credential": '{"id": "a\\u0000"}'}, {"credential": "{}", "name": "a\x00b"}])
def test_what_the_database_cannot_store_is_refused(tenant: Tenant, accepted: None, data: dict[str, str]) -> None:
    assert logged_in(tenant).post("/console/account/factors/passkey", data).status_code == 422
    assert not Authenticator.objects.exists()


def test_an_account_keeps_twenty_passkeys(tenant: Tenant, accepted: None) -> None:
    browser = logged_in(tenant)
    account = Account.objects.get()
    for at in range(20):
        Authenticator.objects.create(user=account, type="webauthn", data={"name": str(at), "credential": {}})
    answer = browser.post("/console/account/factors/passkey", {"credential": "{}"})
    assert answer.status_code == 409
    assert "at most 20 passkeys" in answer.content.decode()


def test_a_way_back_with_what_cannot_be_stored_is_none(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    assert Browser().log_in("ada@example.com", next="/console/\x00")["Location"] == "/console/"


def test_when_hashes_are_busy_a_login_is_told_to_come_again(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    join(tenant, "ada@example.com")
    monkeypatch.setattr(hashing, "WAIT_SECONDS", 0.05)
    with ExitStack() as stack:
        for _ in range(hashing.AT_ONCE):
            stack.enter_context(hashing.hashing_slot())
        for email in ("ada@example.com", "nobody@example.com"):
            answer = Browser().log_in(email)
            assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert Browser().log_in("ada@example.com").status_code == 302


def test_only_so_many_wait_for_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.BoundedSemaphore(1)
    monkeypatch.setattr(hashing, "_room", busy)
    with busy, pytest.raises(Exception, match="busy"), hashing.hashing_slot():
        raise AssertionError("there was room")


def test_an_invitation_is_hashed_for_before_its_transaction(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    depth, seen = len(connection.savepoint_ids), []
    from django.contrib.auth import hashers

    make = hashers.make_password

    def note(*arguments: Any) -> Any:
        seen.append(len(connection.savepoint_ids) - depth)
        return make(*arguments)

    monkeypatch.setattr("tenants.accounts.make_password", note)
    new = invite_member(tenant.id, email="ada@example.com", role="owner")
    browser = Browser()
    browser.get("/console/login")
    assert browser.post(f"/console/invitation/{new.invitation}", {"password": PASSWORD}).status_code == 302
    assert seen == [0]


def away(*_: object, **__: object) -> Any:
    raise OperationalError("the server is away")


@pytest.mark.parametrize(
    "place", ["tenants.console.access.read_standing", "tenants.console.session_store.SessionStore.load"]
)
def test_a_page_without_a_database_asks_to_come_again(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    browser = logged_in(tenant)
    monkeypatch.setattr(place, away)
    answer = browser.get("/console/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert answer["Content-Type"].startswith("text/html")
    assert answer["Content-Security-Policy"]
    monkeypatch.undo()
    assert browser.get("/console/").status_code == 200


def test_a_session_that_cannot_be_saved_asks_to_come_again(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    join(tenant, "ada@example.com")
    monkeypatch.setattr("tenants.console.session_store.SessionStore.save", away)
    answer = Browser().log_in("ada@example.com")
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert not LoginSession.objects.exists()
