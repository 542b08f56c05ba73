"""The headers that keep a browser safe stand on every answer: of the API, its pages, the console, files and faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from api.web_worker import render_problem
from tenants.links import console_url
from tests.console.people import Browser, logged_in
from tests.factories import Tenant

pytestmark = pytest.mark.django_db

HSTS = "max-age=31536000; includeSubDomains"
# What anybody may ask for, with what it is answered.
ADDRESSES = {
    "/healthz": 200,
    "/readyz": 200,
    "/docs": 200,
    "/docs/problems/not-found": 200,
    "/docs/problems/none": 404,
    "/v1/openapi.json": 200,
    "/v1/jobs": 401,
    "/v1/none": 404,
    "/none": 404,
    "/console": 302,
    "/console/": 302,
    "/console/login": 200,
    "/console/none": 404,
    "/console/reset/js_reset_none": 404,
    "/console/invitation/js_invite_none": 404,
    "/console/static/console/passkeys.js": 200,
    "/console/static/none.js": 404,
    "/console/static/../../manage.py": 404,
}


def reach_by(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, public_url=url))


def ask(path: str) -> Any:
    """The answer to anybody, read to its end."""
    answer = Browser().get(path)
    if answer.streaming:
        assert b"".join(answer.streaming_content)
    return answer


def judge(answer: Any) -> None:
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] in ("no-referrer", "same-origin", "strict-origin")
    # The description of the API is for everybody's tools; nothing else is for another site's scripts.
    shared = {name: value for name, value in headers.items() if name.lower().startswith("access-control-")}
    is_document = answer.request["PATH_INFO"] == "/v1/openapi.json"
    assert shared == ({"Access-Control-Allow-Origin": "*"} if is_document else {})
    # Files have addresses that change with their content.
    if not (answer.status_code == 200 and "/static/" in answer.request["PATH_INFO"]):
        assert headers["Cache-Control"] == "no-store" or answer.request["PATH_INFO"].startswith("/docs") or is_document


@pytest.mark.parametrize(("path", "status"), ADDRESSES.items())
def test_every_answer_has_them(monkeypatch: pytest.MonkeyPatch, path: str, status: int) -> None:
    reach_by(monkeypatch, "https://jobs.example")
    answer = ask(path)
    assert answer.status_code == status
    judge(answer)
    assert answer.headers["Strict-Transport-Security"] == HSTS


def test_the_address_that_is_printed_for_the_console_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    reach_by(monkeypatch, "https://jobs.example")
    address = console_url(settings.ENVIRONMENT)
    assert Browser().get(address.removeprefix("https://jobs.example"))["Location"] == "/console/"


def test_what_has_not_changed_says_no_length(tenant: Tenant, api: Any) -> None:
    """Zero would say that the object itself is empty."""
    api.put("/v1/job-types/mine", {"executor": "handler", "handler": "echo"}, key=tenant.api_key)
    for path in ("/v1/openapi.json", "/docs/assets/start.js", "/v1/job-types/mine"):
        tag = api.get(path, key=tenant.api_key).headers["ETag"]
        answer = api.get(path, key=tenant.api_key, If_None_Match=tag)
        assert (answer.status_code, answer.content) == (304, b"")
        assert "Content-Length" not in answer.headers


def test_so_have_the_pages_of_somebody_and_what_is_refused_to_them(
    monkeypatch: pytest.MonkeyPatch, tenant: Tenant, api: Any
) -> None:
    browser = logged_in(tenant, "viewer")
    reach_by(monkeypatch, "https://jobs.example")
    refused = browser.post("/console/members/invite", {"email": "eve@example.com", "role": "viewer"})
    forged = browser.post("/console/logout", Origin="https://evil.example")
    answers = [browser.get("/console/"), browser.get("/console/account"), refused, forged]
    answers += [browser.post("/console/logout"), api.get("/v1/jobs", key=tenant.api_key)]
    answers += [api.get("/v1/jobs", Host="evil.example"), api.call("TRACE", "/v1/jobs", None, None, {})]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403, 302, 200, 400, 405]
    for answer in answers:
        judge(answer)
        assert answer.headers["Strict-Transport-Security"] == HSTS


@pytest.mark.parametrize("path", ["/v1/jobs", "/console/login"])
def test_so_has_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def fail(*_arguments: Any, **_named: Any) -> Any:
        raise RuntimeError("canary")

    reach_by(monkeypatch, "https://jobs.example")
    monkeypatch.setattr("tenants.console.login.standing_of", fail)
    monkeypatch.setattr("api.authentication.ApiKeyAuthentication.authenticate", fail)
    answer = Browser().get(path)
    assert answer.status_code == 500
    judge(answer)
    assert answer.headers["Strict-Transport-Security"] == HSTS


def test_so_has_what_is_no_http(monkeypatch: pytest.MonkeyPatch) -> None:
    reach_by(monkeypatch, "https://jobs.example")
    answer = render_problem("bad-request", "The headers break HTTP's rules.", request_id="r").decode()
    for line in (f"Strict-Transport-Security: {HSTS}", "X-Content-Type-Options: nosniff", "Cache-Control: no-store"):
        assert f"\r\n{line}\r\n" in answer


@pytest.mark.parametrize("url", ["", "http://jobs.internal:8000"])
def test_without_tls_no_browser_is_told_to_use_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    reach_by(monkeypatch, url)
    for path in ADDRESSES:
        assert "Strict-Transport-Security" not in ask(path).headers
    assert b"Strict-Transport-Security" not in render_problem("bad-request", "x", request_id="r")
