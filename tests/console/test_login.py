"""Logging in to the console: the password, the session that begins, and what strangers learn."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.models import AuditEvent, LoginSession
from tests.console.people import PASSWORD, SESSION, Browser, join, logged_in
from tests.factories import Tenant

pytestmark = pytest.mark.django_db

WRONG = [("ada@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", "")]


def test_a_right_password_opens_the_tenants_console_and_is_written_down(tenant: Tenant) -> None:
    member = join(tenant, "ada@example.com")
    browser = Browser()
    answer = browser.log_in("Ada@Example.com ")
    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    page = browser.get("/console/")
    assert page.status_code == 200
    assert tenant.name in page.content.decode()
    event = AuditEvent.objects.filter(tenant_id=tenant.id).order_by("-seq")[0]
    assert (event.action, event.actor_type, event.address) == ("member.logged-in", "member", "127.0.0.1")
    member.refresh_from_db()
    assert member.last_seen_at is not None


@pytest.mark.parametrize(("email", "password"), WRONG)
def test_what_is_wrong_is_answered_alike(tenant: Tenant, email: str, password: str) -> None:
    join(tenant, "ada@example.com")
    browser = Browser()
    answer = browser.log_in(email, password)
    assert answer.status_code == 422
    assert "The address or the password is wrong." in answer.content.decode()
    assert not LoginSession.objects.exists()


def test_an_unknown_address_is_hashed_for_as_a_known_one_is(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    join(tenant, "ada@example.com")
    hashed: list[str] = []
    for name in ("check_password", "make_password"):
        monkeypatch.setattr(f"tenants.accounts.{name}", lambda *_: hashed.append("once"))
    Browser().log_in("ada@example.com", "wrong password")
    assert hashed == ["once"]
    Browser().log_in("nobody@example.com", "wrong password")
    assert hashed == ["once", "once"]


def test_the_cookie_is_bound_to_the_host_and_to_tls(tenant: Tenant) -> None:
    cookie = logged_in(tenant).client.cookies[SESSION]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")


def test_the_session_of_a_login_is_another_than_the_one_before(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    browser = Browser()
    browser.client.cookies[SESSION] = "preset-by-somebody-else"
    browser.log_in("ada@example.com")
    assert browser.session_key != "preset-by-somebody-else"
    before = browser.session_key
    browser.log_in("ada@example.com")
    assert browser.session_key != before


def test_after_a_logout_the_cookie_opens_nothing(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    key = browser.session_key
    assert browser.post("/console/logout")["Location"] == "/console/login"
    browser.client.cookies[SESSION] = key
    assert browser.get("/console/")["Location"].startswith("/console/login")


def test_the_database_holds_no_key_that_a_cookie_could_be_made_of(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    assert browser.session_key not in str(list(LoginSession.objects.values()))


@pytest.mark.parametrize("next_", ["//evil.example/", "https://evil.example", "/v1/jobs", "/console"])
def test_a_login_leads_to_no_other_place(tenant: Tenant, next_: str) -> None:
    join(tenant, "ada@example.com")
    assert Browser().log_in("ada@example.com", next=next_)["Location"] == "/console/"


def test_a_form_of_another_site_is_refused(tenant: Tenant) -> None:
    join(tenant, "ada@example.com")
    browser = Browser()
    browser.get("/console/login")
    form = {"email": "ada@example.com", "password": PASSWORD}
    assert browser.post("/console/login", form, Origin="https://evil.example").status_code == 403
    browser.client.cookies.clear()
    assert browser.post("/console/login", form).status_code == 403


def test_the_api_never_authenticates_by_cookie_and_opens_no_session(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = browser.get("/v1/jobs")
    assert answer.status_code == 401
    assert [query for query in queries.captured_queries if "login_session" in query["sql"]] == []
    assert "Set-Cookie" not in answer.headers
    for path in ("/healthz", "/docs", "/v1/openapi.json"):
        with CaptureQueriesContext(connection) as queries:
            browser.get(path)
        assert "login_session" not in str(queries.captured_queries)


def test_every_page_has_the_headers(tenant: Tenant) -> None:
    for answer in (logged_in(tenant).get("/console/"), Browser().get("/console/login"), Browser().get("/console/none")):
        policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == policy["script-src"] == "'self'"
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cross-Origin-Opener-Policy"] == answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer["Referrer-Policy"] == "same-origin"
        assert "Permissions-Policy" in answer.headers
        assert answer["Content-Type"].startswith("text/html")


def test_the_files_of_the_pages_are_served(db: Any) -> None:
    answer = Browser().get("/console/static/console/passkeys.js")
    assert answer.status_code == 200
    assert b"use strict" in b"".join(answer.streaming_content)


def test_a_file_that_browsers_keep_for_a_year_has_an_address_of_its_content(db: Any) -> None:
    page = Browser().get("/console/login").content.decode()
    files = re.findall(r'"/console/static/([^"]+\.(?:js|css|svg)[^"]*)"', page)
    assert {"app.js", "console.css", "passkeys.js"} <= {name.partition("?")[0].rpartition("/")[2] for name in files}
    assert [name for name in files if "?v=" not in name] == []
