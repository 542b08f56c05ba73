"""The loss of the login key: a sentence at the start; nobody logs in, who is in stays in, and nothing is replaced."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from allauth.mfa.models import Authenticator

from jobservice.env import ConfigurationError
from tenants.boot import check_boot
from tenants.login_key import LOGIN_KEY
from tenants.models import Installation, LoginSession
from tests.console.people import PASSWORD, Browser, code_of, join, logged_in
from tests.console.test_factors import add_totp
from tests.factories import Tenant
from tests.roles import as_role
from tests.tenants.commands import run
from tests.workers.doctor.reading import find

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Person:
    """Somebody with an app and recovery codes, logged in."""

    browser: Browser
    seed: str
    codes: list[str]


@pytest.fixture
def person(tenant: Tenant) -> Person:
    browser = logged_in(tenant, email="ada@example.com")
    return Person(browser, *add_totp(browser))


def start() -> None:
    """As a process of the API does."""
    with as_role("web"):
        check_boot()


def keep(login_key: bytes | None) -> None:
    """What a restored or damaged row holds, in a process that starts anew."""
    Installation.objects.update(login_key=login_key)
    LOGIN_KEY.forget()


def stored() -> bytes:
    return bytes(Installation.objects.get().login_key or b"")


def everything() -> tuple[list[object], list[object]]:
    """Factors and sessions, but for when they were last used."""
    factors = list(Authenticator.objects.order_by("id").values("id", "user_id", "type", "data"))
    return factors, list(LoginSession.objects.order_by("key_hash").values("key_hash", "account_id", "login_epoch"))


def test_one_that_was_removed_stops_the_start_with_a_sentence_and_is_not_replaced(person: Person) -> None:
    before, key = everything(), stored()
    keep(None)
    for act in (start, lambda: run("create_keys")):
        with pytest.raises(ConfigurationError, match=r"^The login key was removed .* restore it from a backup\.$"):
            act()
    assert find("login-key").status == "problem"
    assert (Installation.objects.get().login_key, everything()) == (None, before)
    keep(key)
    start()
    assert find("login-key").status == "ok"


def test_a_new_database_is_told_to_make_one(db: None) -> None:
    keep(None)
    with pytest.raises(ConfigurationError, match=r"no login key yet; run `manage\.py create_keys` first"):
        start()
    run("create_keys")
    start()


def test_while_it_does_not_open_nobody_gets_in_and_whoever_is_in_stays(person: Person, tenant: Tenant) -> None:
    join(tenant, "grace@example.com")
    before, key = everything(), stored()
    keep(key[:-1] + bytes([key[-1] ^ 1]))
    start()  # the API needs it for nothing
    for email, password in (("ada@example.com", PASSWORD), ("grace@example.com", PASSWORD), ("nobody@x.org", "x" * 12)):
        answer = Browser().log_in(email, password)
        assert (answer.status_code, answer["Retry-After"]) == (503, "2")
        assert "Nobody can log in just now" in answer.content.decode()
    person.browser.get("/console/account")
    for path in ("/console/login/passkey/options", "/console/step-up"):
        assert person.browser.post(path, {"code": code_of(person.seed)}).status_code == 503
    assert person.browser.get("/console/account/factors").status_code == 503
    for path in ("/console/", "/console/members", "/console/account"):
        assert person.browser.get(path).status_code == 200
    assert everything() == before
    assert find("login-key").detail.startswith("The login key does not open")


def test_put_back_it_opens_all_that_it_sealed(person: Person) -> None:
    key = stored()
    keep(b"J1" + bytes(60))
    assert Browser().log_in("ada@example.com").status_code == 503
    keep(key)
    browser = Browser()
    browser.log_in("ada@example.com")
    form = {"code": code_of(person.seed)}
    assert browser.post("/console/login/second-factor", form).status_code == 302
    assert browser.post("/console/step-up", {"code": person.codes[0]}).status_code == 302
