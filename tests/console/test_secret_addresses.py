"""Addresses that are secrets, of resets and invitations: no log tells one, whatever the answer, and no Referer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from jobservice.logs import build_handler
from tests.console.people import PASSWORD, Browser
from tests.factories import Tenant
from tests.tenants.commands import run

pytestmark = pytest.mark.django_db

CANARY = "js_invite_" + "canary0000000000000000000000000000000000000000"
PATHS = [f"/console/reset/{CANARY}", f"/console/invitation/{CANARY}"]


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Iterator[StringIO]:
    """What the process would write to its standard error, as it would write it, down to the level `DEBUG`."""
    stream = StringIO()
    handler = build_handler(stream, format="json")
    root, before = logging.getLogger(), logging.getLogger().level
    levels = {name: logging.getLogger(name).level for name in ("django.request", "django.security.csrf")}
    root.addHandler(handler)
    root.setLevel("DEBUG")
    for name in levels:
        logging.getLogger(name).setLevel("DEBUG")
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def fail(*_arguments: Any, **_options: Any) -> Any:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("path", PATHS)
def test_no_refusal_writes_the_address_into_a_log(db: None, written: StringIO, path: str) -> None:
    browser = Browser()
    assert browser.get(path).status_code == 404
    browser.get("/console/login")
    assert browser.post(path, {"password": PASSWORD}, Origin="https://evil.example").status_code == 403
    assert browser.post(path, {"csrfmiddlewaretoken": "x"}, Referer=f"https://localhost{path}").status_code == 403
    assert {browser.post(path, {"password": PASSWORD}).status_code for _ in range(70)} >= {429}
    assert browser.get(path.upper().replace("/CONSOLE", "/v1")).status_code == 404
    assert "request_answered" in written.getvalue()
    assert CANARY.lower() not in written.getvalue().lower()


@pytest.mark.parametrize("path", PATHS)
def test_a_fault_of_ours_writes_its_class_and_not_the_address(
    written: StringIO, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for module in ("reset.find_reset", "invitation.find_invitation"):
        monkeypatch.setattr(f"tenants.console.{module}", fail)
    answer = Browser().get(path)
    assert answer.status_code == 500
    assert CANARY not in answer.content.decode()
    assert "RuntimeError" in written.getvalue()
    assert CANARY not in written.getvalue()


def test_a_link_that_is_good_is_in_no_log_when_its_form_is_refused(tenant: Tenant, written: StringIO) -> None:
    printed = run("create_member", tenant.name, "ada@example.com", "--role", "owner")
    path = printed[printed.index("/console/") :].strip()
    browser = Browser()
    browser.get(path)
    assert browser.post(path, {"password": "short"}).status_code == 422
    assert path.rpartition("/")[2] not in written.getvalue()


@pytest.mark.parametrize("path", PATHS)
def test_the_page_behind_it_names_the_address_to_nobody_as_referrer(db: None, path: str) -> None:
    """Not "no-referrer": a form would then be sent without its origin, which the check against forgery needs."""
    browser = Browser()
    answer = browser.get(path)
    assert answer["Referrer-Policy"] == "strict-origin"
    assert 'name="referrer"' not in answer.content.decode()  # it would take the header's place
    assert browser.post(path, Origin="https://evil.example")["Referrer-Policy"] == "strict-origin"
