"""Every address of the console against every role, without a session, and with what is another tenant's: read from the
list of addresses, so that a page that is added later is walked too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from jobservice.ids import API_KEY, ENDPOINT, MEMBER, TENANT, show_id
from jobservice.webhooks.models import WebhookEndpoint
from tenants.console.access import (
    ANYONE,
    DECLARABLE,
    OWN_ACCOUNT,
    STAFF,
    ConsoleView,
    check_declared_permission,
    permission_for,
)
from tenants.console.urls import urlpatterns
from tenants.models import ApiKey, LoginSession, Member
from tenants.models import Tenant as TenantRow
from tenants.roles import PERMISSIONS, REVEAL, ROLES, permissions_of
from tests.console.people import CSRF, Browser, join, logged_in
from tests.factories import Tenant, make_job
from tests.roles import as_role
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(autouse=True)
def with_inbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The pages that are there under `make run` only are walked as well."""
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, dev_inbox=True, data_dir=tmp_path))


def view_of(pattern: URLPattern) -> type[ConsoleView]:
    view: type[ConsoleView] = getattr(pattern.callback, "view_class")  # noqa: B009 (what Django sets, no type tells)
    return view


PAGES: Mapping[str, tuple[str, type[ConsoleView], str, str]] = {
    f"{method} {pattern.pattern}": (method, view_of(pattern), str(pattern.pattern), permission)
    for pattern in urlpatterns
    for method in METHODS
    if (permission := permission_for(view_of(pattern), method)) is not None
}
OF_TENANTS = sorted(name for name, page in PAGES.items() if page[3] in PERMISSIONS)
# Each kind of path parameter, as another tenant's or another person's.
FOREIGN = {"<str:member>": "member", "<str:session>": "session", "<int:factor>": "factor", "<str:text>": "text"} | {
    "<job_id>": "job",
    "<action_id>": "bulk action",
    "<queue>": "queue",
    "<group_id>": "group of errors",
    "<key_id>": "API key",
    "<endpoint_id>": "webhook endpoint",
}


def address(route: str, tenant: Tenant) -> str:
    """The address with ids that are of this tenant's owner."""
    member = Member.objects.filter(tenant_id=tenant.id).first() or join(tenant, f"x@{tenant.name}.example")
    session = LoginSession.objects.filter(account_id=member.account_id).first()
    endpoint = WebhookEndpoint.objects.filter(tenant_id=tenant.id).first() or make_endpoint(tenant)
    values = {
        "<str:member>": show_id(MEMBER, member.id),
        "<str:session>": session.key_hash if session else "0" * 64,
        "<int:factor>": "1",
        "<str:text>": "nothing",
        "<path:rest>": "nowhere",
        "<job_id>": make_job(tenant, queue=f"of-{tenant.name}")["id"],
        "<delivery_id>": "dlv_01h455vb4pex5vsknk084sn02q",
        "<action_id>": "bat_01h455vb4pex5vsknk084sn02q",
        "<queue>": f"of-{tenant.name}",
        "<group_id>": "err_01h455vb4pex5vsknk084sn02q",
        "<endpoint_id>": show_id(ENDPOINT, endpoint.id),
        "<tenant_id>": show_id(TENANT, tenant.id),
        "<key_id>": show_id(API_KEY, ApiKey.objects.filter(tenant_id=tenant.id)[0].id),
    }
    for name, value in values.items():
        route = route.replace(name, value)
    assert "<" not in route, f"{route}: say here what another tenant's is"
    return f"/console/{route}"


def needs(name: str) -> set[str]:
    """All the permissions of a page."""
    _, view, _, permission = PAGES[name]
    return {permission, view.second_permission or permission}


def call(browser: Browser, method: str, path: str) -> int:
    answer = browser.get(path) if method == "GET" else browser.post(path)
    return int(answer.status_code)


def test_every_page_declares_a_permission_and_forms_are_checked_on_all() -> None:
    assert len(PAGES) > 25
    assert {page[3] for page in PAGES.values()} <= DECLARABLE
    assert {page[0] for page in PAGES.values()} <= {"GET", "POST"}


def test_a_page_that_declares_none_or_not_for_each_method_stops_the_process() -> None:
    class Forgotten(ConsoleView):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    class Half(Forgotten):
        permission = {"GET": "read"}

        def post(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    class Unknown(Forgotten):
        permission = "everything"

    class Doubtful(Forgotten):
        permission = "act"
        second_permission = "anyone"

    for view in (Forgotten, Half, Unknown, Doubtful):
        with pytest.raises(ImproperlyConfigured, match=view.__name__):
            check_declared_permission(view)


@pytest.mark.parametrize("method", ["PATCH", "SETUP", "DISPATCH"])
def test_a_method_that_no_page_has_is_refused_whatever_else_bears_its_name(tenant: Tenant, method: str) -> None:
    browser = logged_in(tenant)
    headers = {"Origin": "https://localhost", "X-CSRFToken": browser.client.cookies[CSRF].value}
    for path in ("/console/members", "/console/queues/mail", "/console/errors/err_01h455vb4pex5vsknk084sn02q"):
        with as_role("web"):
            answer = browser.client.generic(method, path, secure=True, headers=headers, HTTP_HOST="localhost")
        assert answer.status_code == 405, path


@pytest.mark.parametrize("name", sorted(name for name, page in PAGES.items() if page[3] != ANYONE))
def test_without_a_session_every_page_leads_to_the_login(tenant: Tenant, name: str) -> None:
    method, _, route, _ = PAGES[name]
    browser = Browser()
    browser.get("/console/login")
    path = address(route, tenant)
    answer = browser.get(path) if method == "GET" else browser.post(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/console/login?next=%2Fconsole")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_it_may_and_nothing_else(tenant: Tenant, other_tenant: Tenant, role: str) -> None:
    """With another tenant's ids: what the role reaches is answered 404 then, or shows its own tenant's."""
    foreign = join(other_tenant, "foreign@example.com")
    visits = [
        (name, payloads) for name in OF_TENANTS for payloads in (False, True) if not payloads or REVEAL in needs(name)
    ]
    for number, (name, payloads) in enumerate(visits):
        method, _, route, _ = PAGES[name]
        place = f"10.0.{number}.1"
        browser = logged_in(tenant, role, email=f"{role}-{number}@example.com", place=place, payloads=payloads)
        path = address(route, other_tenant)
        status = call(browser, method, path)
        if not needs(name) <= permissions_of(role, may_read_payloads=payloads):
            assert status == 403, name
        elif any(parameter in route for parameter in FOREIGN):
            assert status == 404, name
        else:
            assert status in (200, 302, 422), name
    foreign.refresh_from_db()
    assert (foreign.role, foreign.status) == ("owner", "active")


@pytest.mark.parametrize("name", OF_TENANTS)
def test_a_suspended_tenant_shows_nothing(tenant: Tenant, name: str) -> None:
    method, _, route, _ = PAGES[name]
    browser = logged_in(tenant)
    path = address(route, tenant)
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    assert call(browser, method, path) == 403


def test_a_members_pages_need_the_fresh_proof_that_they_declare(tenant: Tenant) -> None:
    # Those of operators: test_operator_pages.py.
    stepping = {name for name, page in PAGES.items() if page[1].step_up and page[3] != STAFF}
    assert {name for name, page in PAGES.items() if page[3] in ("members", "settings")} <= stepping
    browser = logged_in(tenant)
    browser.forget_proof()
    for name in sorted(stepping):
        method, _, route, _ = PAGES[name]
        path = address(route, tenant)
        answer = browser.get(path) if method == "GET" else browser.post(path)
        assert answer["Location"].startswith("/console/step-up?next="), name


@pytest.mark.parametrize("role", ROLES)
def test_operators_pages_are_not_there_for_others_and_say_what_an_unknown_address_says(
    tenant: Tenant, role: str
) -> None:
    browser = logged_in(tenant, role)
    of_operators = [page for page in PAGES.values() if page[3] == STAFF]
    assert len(of_operators) >= 10
    for method, _, route, _ in of_operators:
        path = address(route, tenant)
        answer = browser.get(path) if method == "GET" else browser.post(path)
        assert answer.status_code == 404, route
        assert answer.content == browser.get("/console/nowhere").content, route
    assert "/console/operator" not in browser.get("/console/overview").content.decode()


def test_ones_own_pages_are_reached_without_any_tenant(tenant: Tenant) -> None:
    browser = logged_in(tenant)
    Member.objects.update(status="removed")
    LoginSession.objects.update(data={})
    for name, (method, _, route, permission) in PAGES.items():
        if permission == OWN_ACCOUNT and method == "GET" and "factors/" not in route:
            assert call(browser, method, address(route, tenant)) == 200, name
    assert browser.get("/console/")["Location"] == "/console/tenants"
