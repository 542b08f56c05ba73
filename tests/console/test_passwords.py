"""Passwords: as they were typed, of any characters, none that is easily guessed, and kept as a dear hash."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import ScryptPasswordHasher, check_password
from django.core.exceptions import ValidationError

from jobservice.errors import Invalid
from tenants.accounts import check_new_password
from tenants.models import Account
from tenants.passwords import CONTEXT_WORDS, ContextWordsValidator
from tests.console.people import PASSWORD, Browser, join, logged_in
from tests.factories import Tenant

CONSOLE = Path(__file__).parents[2] / "tenants" / "console"
OWN_SCRIPTS = [*CONSOLE.glob("static/*.js"), *CONSOLE.glob("static/console/*.js")]


def change(browser: Browser, password: str, *, current: str = PASSWORD) -> Any:
    return browser.post("/console/account/password", {"current": current, "password": password})


@pytest.mark.django_db
@pytest.mark.parametrize(
    "password",
    [
        "Twelve Char",  # eleven
        "password1234",
        "jobservice2026!",
        "Jobservice-Console",
        "administrator",
        "Secret_Login_1",
        "AdaLovelace!!1",
        "x" * 257,
    ],
)
def test_what_is_easily_guessed_is_refused(tenant: Tenant, password: str) -> None:
    browser = logged_in(tenant, email="ada.lovelace@example.com")
    before = Account.objects.get().password
    assert change(browser, password).status_code == 422
    assert Account.objects.get().password == before


def test_the_words_of_this_service_may_be_part_of_more() -> None:
    check_new_password("a jobservice on tuesdays", email="ada@example.com")
    for word in CONTEXT_WORDS:
        with pytest.raises(ValidationError):
            ContextWordsValidator().validate(f"{word}-{word}!12345", Account(email="ada@example.com"))
    with pytest.raises(Invalid):
        check_new_password("ada-example-2026", email="ada@example.com")


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["  spaces at both ends ", "x7" * 32, "Straße, 東京, 🗝️ и ключ", "y" * 255 + "z"])
def test_one_is_taken_as_it_was_typed_and_whole(tenant: Tenant, password: str) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    assert change(browser, password).status_code == 302
    others = {password.strip(), password[:-1], password.upper(), password.lower(), password[:72]} - {password}
    for at, other in enumerate(sorted(others)):
        assert Browser(f"192.0.2.{at}").log_in("ada@example.com", other).status_code == 422
    assert Browser("198.51.100.1").log_in("ada@example.com", password).status_code == 302


@pytest.mark.django_db
def test_a_change_asks_for_the_one_so_far(tenant: Tenant) -> None:
    browser = logged_in(tenant, email="ada@example.com")
    assert change(browser, "another long pass phrase", current="wrong").status_code == 422
    assert change(browser, "another long pass phrase", current="").status_code == 422
    assert change(browser, "another long pass phrase").status_code == 302
    assert Browser("192.0.2.1").log_in("ada@example.com", PASSWORD).status_code == 422
    assert Browser("192.0.2.2").log_in("ada@example.com", "another long pass phrase").status_code == 302


@pytest.mark.django_db
def test_nobody_is_made_to_change_a_good_one(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    Account.objects.update(created_at="2001-01-01T00:00:00Z")
    assert Browser().log_in("ada@example.com")["Location"] == "/console/"


def test_it_is_kept_as_scrypt_of_16_mib() -> None:
    # The first of all is the tests' own, cheap one.
    assert settings.PASSWORD_HASHERS[1] == "django.contrib.auth.hashers.ScryptPasswordHasher"
    encoded = ScryptPasswordHasher().encode(PASSWORD, "a salt of its own")
    algorithm, work, _salt, block, parallelism, _hash = encoded.split("$")
    # OWASP's least: 2^14 with blocks of 8 and five at once, or 2^17 with one.
    assert (algorithm, int(work) >= 2**14, block, int(parallelism) >= 5) == ("scrypt", True, "8", True)
    assert check_password(PASSWORD, encoded)


def test_fields_hide_it_let_it_be_pasted_and_tell_password_managers_which_it_is() -> None:
    fields = [
        field
        for page in CONSOLE.glob("templates/**/*.html")
        for field in re.findall(r'<input[^>]*name="(?:password|current)"[^>]*>', page.read_text())
    ]
    assert len(fields) >= 4
    for field in fields:
        assert 'type="password"' in field
        assert re.search(r'autocomplete="(current|new)-password"', field)
        assert "paste" not in field
    assert OWN_SCRIPTS
    assert [path.name for path in OWN_SCRIPTS if "paste" in path.read_text()] == []


def test_no_script_keeps_anything_in_the_browser() -> None:
    stores = re.compile(r"localStorage|sessionStorage|indexedDB|\bcaches\b|document\.cookie|serviceWorker")
    docs = [*(Path(__file__).parents[2] / "api" / "docs").glob("**/*.js")]
    assert [path.name for path in [*OWN_SCRIPTS, *docs] if stores.search(path.read_text())] == []
