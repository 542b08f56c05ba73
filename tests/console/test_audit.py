"""Every act in a tenant's console is written down once, by the member who did it."""

from __future__ import annotations

import pytest

from jobservice.ids import API_KEY, DELIVERY, ENDPOINT, JOB, MEMBER, parse_id, show_id
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.queues import change_queue, find_queue
from jobservice.webhooks.endpoints import change_endpoint
from tenants.api_keys import create_api_key
from tenants.audit_checks import verify_chain
from tenants.context import tenant_tx
from tenants.models import AuditEvent, Member
from tenants.roles import PERMISSIONS
from tests.api.replays import make_deliveries
from tests.console.people import join, logged_in
from tests.console.test_access import PAGES
from tests.factories import Tenant, make_job
from tests.security.audit_entries import CONSOLE, CONSOLE_SCREENS, CONSOLE_SETTINGS
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db


def test_every_page_that_acts_for_a_tenant_is_listed() -> None:
    acting = {
        route for method, _, route, permission in PAGES.values() if method == "POST" and permission in PERMISSIONS
    }
    assert acting == set(CONSOLE) | set(CONSOLE_SCREENS) | set(CONSOLE_SETTINGS)


@pytest.mark.parametrize("route", sorted(CONSOLE))
def test_the_act_is_written_down_by_whom_and_from_where(tenant: Tenant, route: str) -> None:
    browser = logged_in(tenant, email="me@example.com")
    other = join(tenant, "other@example.com")
    form = {"email": "eve@example.com", "role": "viewer", "require_mfa": "on"}
    before = AuditEvent.objects.filter(tenant_id=tenant.id).count()
    answer = browser.post(f"/console/{route.replace('<str:member>', show_id(MEMBER, other.id))}", form)
    assert answer.status_code in (200, 302)
    (event,) = AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=before)
    me = show_id(MEMBER, Member.objects.get(email="me@example.com").id)
    assert (event.action, event.actor_type, event.actor_id) == (CONSOLE[route], "member", me)
    assert (event.address, event.request_id) == ("127.0.0.1", answer["X-Request-Id"])
    assert "example.com" not in f"{event.before}{event.after}"
    assert verify_chain(tenant.id).broken is None


# Those that need no more than a job and its queue.
ON_JOBS = sorted(route for route in CONSOLE_SCREENS if not any(w in route for w in ("delivery", "bulk", "errors")))


@pytest.mark.parametrize("route", ON_JOBS)
def test_an_act_on_a_job_or_a_queue_is_written_down_by_whom(tenant: Tenant, route: str) -> None:
    browser = logged_in(tenant, email="me@example.com", payloads=True)
    job = make_job(tenant, delay_seconds=3600, queue="mail")
    job_id = parse_id(JOB, job["id"])
    assert job_id is not None
    if route.endswith(("retry", "erase", "edit", "edited")):
        cancel_job(tenant.id, job_id)
    change_queue(tenant.id, "mail", {"paused": route.endswith("resume")})
    queue = find_queue(tenant.id, "mail")
    assert queue is not None
    form = {
        "job": job["id"],
        "confirmed": "1",
        "payload": "{}",
        "concurrency": "3",
        "key_concurrency": "1",
        "revision": queue.revision,
    }
    before = AuditEvent.objects.filter(tenant_id=tenant.id).count()
    answer = browser.post(f"/console/{route.replace('<job_id>', job['id']).replace('<queue>', 'mail')}", form)
    assert answer.status_code in (200, 302)
    events = AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=before)
    me = show_id(MEMBER, Member.objects.get(email="me@example.com").id)
    expected = CONSOLE_SCREENS[route]
    assert [(one.action, one.actor_id) for one in events] == ([] if expected is None else [(expected, me)])


@pytest.mark.parametrize("route", sorted(route for route in CONSOLE_SETTINGS if route.startswith("keys")))
def test_an_act_on_a_key_is_written_down_by_whom(tenant: Tenant, route: str) -> None:
    browser = logged_in(tenant, email="me@example.com")
    with tenant_tx(tenant.id):
        key_id, _text = create_api_key(tenant.id, name="first", scopes=("jobs:read",))
    before = AuditEvent.objects.filter(tenant_id=tenant.id).count()
    form = {"name": "second", "scopes": "jobs:read", "overlap_seconds": "60"}
    answer = browser.post(f"/console/{route.replace('<key_id>', show_id(API_KEY, key_id))}", form)
    assert answer.status_code in (200, 302)
    (event,) = AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=before)
    me = show_id(MEMBER, Member.objects.get(email="me@example.com").id)
    assert (event.action, event.actor_id) == (CONSOLE_SETTINGS[route], me)


@pytest.mark.parametrize("route", sorted(route for route in CONSOLE_SETTINGS if route.startswith("webhooks")))
def test_an_act_on_a_webhook_is_written_down_by_whom(tenant: Tenant, route: str) -> None:
    browser = logged_in(tenant, email="me@example.com", payloads=True)
    endpoint = make_endpoint(tenant)
    (delivery,) = make_deliveries(tenant, endpoint)
    if route.endswith("enable"):
        change_endpoint(tenant.id, endpoint.id, {"status": "paused"})
    form = {"url": "http://127.0.0.1:9/other", "events": "job.completed", "signing": "v1 default", "confirmed": "1"}
    form |= {"revision": endpoint.revision, "overlap_seconds": "60", "hours": "1"}
    path = route.replace("<endpoint_id>", show_id(ENDPOINT, endpoint.id))
    before = AuditEvent.objects.filter(tenant_id=tenant.id).count()
    answer = browser.post(f"/console/{path.replace('<delivery_id>', show_id(DELIVERY, delivery))}", form)
    assert answer.status_code in (200, 302)
    (event,) = AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=before)
    me = show_id(MEMBER, Member.objects.get(email="me@example.com").id)
    assert (event.action, event.actor_id) == (CONSOLE_SETTINGS[route], me)
    assert "127.0.0.1" not in f"{event.before}{event.after}"


@pytest.mark.parametrize("route", sorted(route for route in CONSOLE_SETTINGS if route.startswith("settings")))
def test_an_act_on_the_default_secret_is_written_down_by_whom(tenant: Tenant, route: str) -> None:
    browser = logged_in(tenant, email="me@example.com")
    before = AuditEvent.objects.filter(tenant_id=tenant.id).count()
    assert browser.post(f"/console/{route}", {"overlap_seconds": "60"}).status_code == 200
    (event,) = AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=before)
    me = show_id(MEMBER, Member.objects.get(email="me@example.com").id)
    assert (event.action, event.actor_id) == (CONSOLE_SETTINGS[route], me)
