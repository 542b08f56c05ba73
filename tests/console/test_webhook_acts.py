"""What is done with webhooks in the console: endpoints are made, changed and rotated, deliveries sent again."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest

from jobservice.ids import DELIVERY, ENDPOINT, JOB, show_id
from jobservice.webhooks.endpoints import change_endpoint, find_endpoint
from jobservice.webhooks.models import Delivery, LiveDelivery, WebhookEndpoint
from tenants.models import Tenant
from tests.api.replays import make_deliveries
from tests.console.endpoint_paths import path_of
from tests.console.people import logged_in
from tests.console.test_jobs_page import live_href
from tests.console.visiting import make_person, text_of
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/events"
FORM = {"url": URL, "events": "job.completed", "signing": "v1 default"}
ACTS = ("pause", "enable", "delete", "rotate", "test", "recover")


def settings_of(tenant: Any, endpoint_id: UUID) -> dict[str, Any]:
    view = find_endpoint(tenant.id, endpoint_id)
    assert view is not None
    return view.settings


def test_an_endpoint_is_made_with_the_forms_values(tenant: Any) -> None:
    visitor = make_person(tenant, "admin")
    assert "New endpoint" in text_of(visitor.get("/console/webhooks/new"))
    headers = "X-Team: billing\nX-Key: s3cr3t"
    form = {**FORM, "events": ["job.completed", "job.discarded"], "queues": "mail, invoices", "headers": headers}
    page = visitor.follow(visitor.post("/console/webhooks/new", **form))
    assert "The endpoint is made" in text_of(page)
    assert "s3cr3t" not in page.content.decode()
    row = WebhookEndpoint.objects.get(tenant_id=tenant.id)
    made = settings_of(tenant, row.id)
    assert (made["events"], made["queues"]) == (["job.completed", "job.discarded"], ["invoices", "mail"])
    assert made["headers"] == {"X-Team": "billing", "X-Key": "s3cr3t"}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"url": ""}, "url"),
        ({"url": "http://10.0.0.1/inside"}, "url: "),
        ({"events": []}, "events has 1 to 100 entries"),
        ({"events": ["job.nothing"]}, "It must be one of"),
        ({"queues": "No!"}, "This cannot be the name of a queue"),
        ({"headers": "Host: elsewhere"}, "Host"),
        ({"signing": "v9 own"}, "scheme"),
    ],
)
def test_what_cannot_be_an_endpoint_is_told_and_nothing_is_made(tenant: Any, form: Any, words: str) -> None:
    answer = make_person(tenant).post("/console/webhooks/new", **{**FORM, "types": "kept", **form})
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert 'value="kept"' in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_the_quota_of_endpoints_holds_in_the_console_too(tenant: Any) -> None:
    Tenant.objects.filter(id=tenant.id).update(quotas={"webhook_endpoints": 1})
    make_endpoint(tenant)
    assert make_person(tenant).post("/console/webhooks/new", **FORM).status_code == 429


def test_a_secret_of_its_own_is_shown_once(tenant: Any) -> None:
    visitor = make_person(tenant)
    shown = visitor.post("/console/webhooks/new", **{**FORM, "signing": "v1 own"})
    found = re.search(r"whsec_[\w+/=]+", text_of(shown))
    assert found is not None
    made = WebhookEndpoint.objects.get(tenant_id=tenant.id)
    assert found[0] not in visitor.get(f"/console/webhooks/{show_id(ENDPOINT, made.id)}").content.decode()


def test_of_v1a_the_public_key_is_all_there_is_to_see(tenant: Any) -> None:
    visitor = make_person(tenant)
    page = visitor.follow(visitor.post("/console/webhooks/new", **{**FORM, "signing": "v1a own"}))
    assert "whpk_" in text_of(page)
    assert "whsec_" not in page.content.decode()


def test_an_edit_changes_what_was_changed_and_keeps_headers_that_nobody_typed(tenant: Any) -> None:
    endpoint = make_endpoint(tenant, headers={"X-Key": "s3cr3t"}, types=["echo"])
    visitor, path = make_person(tenant, "admin"), path_of(endpoint)
    page = visitor.get(f"{path}/edit").content.decode()
    assert "X-Key" in page
    assert "s3cr3t" not in page
    form = {**FORM, "types": "", "revision": endpoint.revision}
    assert "The endpoint is changed" in text_of(visitor.follow(visitor.post(f"{path}/edit", **form)))
    after = settings_of(tenant, endpoint.id)
    assert (after["types"], after["headers"], after["url"]) == (None, {"X-Key": "s3cr3t"}, URL)
    late = visitor.post(f"{path}/edit", **{**form, "queues": "mail"})
    assert "Somebody else changed the endpoint" in text_of(visitor.follow(late))
    view = find_endpoint(tenant.id, endpoint.id)
    assert view is not None
    visitor.post(f"{path}/edit", **{**form, "revision": view.revision, "no_headers": "on"})
    assert settings_of(tenant, endpoint.id)["headers"] == {}


def test_a_form_that_was_refused_loses_no_header_and_writes_over_nobodys_change(tenant: Any) -> None:
    endpoint = make_endpoint(tenant, url=URL, events=["job.completed"])
    visitor, path = make_person(tenant, "admin"), path_of(endpoint)
    typed = {**FORM, "url": "nowhere", "headers": "X-Team: <billing>", "revision": endpoint.revision}
    change_endpoint(tenant.id, endpoint.id, {"queues": ["mail"]})
    refused = visitor.post(f"{path}/edit", **typed).content.decode()
    assert "X-Team: &lt;billing&gt;</textarea>" in refused
    assert f'name="revision" value="{endpoint.revision}"' in refused
    late = visitor.post(f"{path}/edit", **{**typed, "url": URL})
    assert "Somebody else changed the endpoint" in text_of(visitor.follow(late))
    assert settings_of(tenant, endpoint.id)["queues"] == ["mail"]
    assert "X-Team: &lt;billing&gt;" in visitor.post("/console/webhooks/new", **typed).content.decode()


def test_an_endpoint_is_paused_enabled_and_deleted(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    visitor, path = make_person(tenant, "admin"), path_of(endpoint)
    assert "It is paused" in text_of(visitor.follow(visitor.post(f"{path}/pause")))
    assert settings_of(tenant, endpoint.id)["status"] == "paused"
    assert "It is told again." in text_of(visitor.follow(visitor.post(f"{path}/enable")))
    assert settings_of(tenant, endpoint.id)["status"] == "enabled"
    assert "Delete the endpoint?" in text_of(visitor.get(f"{path}/delete"))
    visitor.follow(visitor.post(f"{path}/delete"))
    assert not WebhookEndpoint.objects.exists()


def test_a_disabled_one_says_why(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    WebhookEndpoint.objects.update(status="disabled", status_reason="gone")
    words = text_of(make_person(tenant, "viewer").get(path_of(endpoint)))
    assert "Disabled: gone" in words


def test_a_secret_is_rotated_after_a_fresh_proof_and_shown_once(tenant: Any) -> None:
    endpoint = make_endpoint(tenant, signing={"scheme": "v1", "own": True})
    browser, path = logged_in(tenant, "admin"), path_of(endpoint)
    browser.forget_proof()
    assert browser.get(f"{path}/rotate")["Location"].startswith("/console/step-up?next=")
    browser = logged_in(tenant, "admin", email="fresh@example.com")
    assert "signs beside it" in text_of(browser.get(f"{path}/rotate"))
    shown = browser.post(f"{path}/rotate", {"overlap_seconds": "3600"})
    found = re.search(r"whsec_[\w+/=]+", text_of(shown))
    assert found is not None
    assert found[0] != endpoint.secret
    assert "whsec_" not in browser.get(path).content.decode()
    assert browser.post(f"{path}/rotate", {"overlap_seconds": "x"}).status_code == 422


def test_a_test_event_is_sent_and_seen(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    visitor = make_person(tenant, "admin")
    page = text_of(visitor.follow(visitor.post(f"{path_of(endpoint)}/test")))
    assert "A test event is on its way" in page
    assert Delivery.objects.get().endpoint_id == endpoint.id
    assert "webhook.test" in page


def test_a_delivery_is_sent_again_by_whoever_acts_on_jobs(tenant: Any) -> None:
    endpoint, other = make_endpoint(tenant), make_endpoint(tenant, events=["quota.warning"])
    (delivery,) = make_deliveries(tenant, endpoint)
    act = f"/deliveries/{show_id(DELIVERY, delivery)}/resend"
    assert make_person(tenant, "viewer").post(path_of(endpoint) + act).status_code == 403
    visitor = make_person(tenant, "operator")
    assert visitor.post(path_of(other) + act).status_code == 404
    assert "It is sent again." in text_of(visitor.follow(visitor.post(path_of(endpoint) + act)))
    assert LiveDelivery.objects.get().delivery_id == delivery
    change_endpoint(tenant.id, endpoint.id, {"status": "paused"})
    LiveDelivery.objects.update(state="held")
    refused = visitor.follow(visitor.post(path_of(endpoint) + act))
    assert "The delivery is held while its endpoint takes none" in text_of(refused)


def test_one_that_is_held_is_not_said_to_be_sent(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    deliveries = make_deliveries(tenant, endpoint, count=2)
    change_endpoint(tenant.id, endpoint.id, {"status": "paused"})
    visitor = make_person(tenant)
    act = f"deliveries/{show_id(DELIVERY, deliveries[0])}/resend"
    job_id = Delivery.objects.get(id=deliveries[1]).job_id
    assert job_id is not None
    beside_job = f"/console/jobs/{show_id(JOB, job_id)}/deliveries/{show_id(DELIVERY, deliveries[1])}/replay"
    for path in (f"{path_of(endpoint)}/{act}", beside_job):
        words = text_of(visitor.follow(visitor.post(path)))
        assert "It is held while its endpoint takes none" in words
        assert "It is sent again" not in words
    assert {one.state for one in LiveDelivery.objects.all()} == {"held"}


def test_to_send_one_again_leads_back_to_what_was_looked_at(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.endpoints.DELIVERIES", 1)
    endpoint = make_endpoint(tenant)
    make_deliveries(tenant, endpoint, count=2)
    visitor = make_person(tenant)
    first = visitor.get(f"{path_of(endpoint)}?state=failed").content.decode()
    older = re.search(r'href="([^"]+cursor=[^"]+)"', first)
    assert older is not None
    page = visitor.get(older[1].replace("&amp;", "&"))
    for shown in (page, visitor.get(live_href(page, "rows"))):
        act = re.search(r'action="([^"]+/resend[^"]*)"', shown.content.decode())
        assert act is not None
        answer = visitor.post(act[1].replace("&amp;", "&"))
        assert answer["Location"] == older[1].replace("&amp;", "&")


def test_what_failed_is_counted_and_then_sent_again_as_a_bulk_action(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    make_deliveries(tenant, endpoint, count=2)
    visitor, path = make_person(tenant, "admin"), f"{path_of(endpoint)}/recover"
    asked = visitor.post(path, hours="1")
    assert "Send 2 deliveries again?" in text_of(asked)
    assert not LiveDelivery.objects.exists()
    since = re.search(r'name="since" value="([^"]+)"', asked.content.decode())
    assert since is not None
    page = visitor.follow(visitor.post(path, since=since[1], confirmed="1"))
    assert "2 of 2 done" in text_of(page)
    assert LiveDelivery.objects.count() == 2
    assert visitor.post(path, since="yesterday").status_code == 422


@pytest.mark.parametrize("act", ["", *(f"/{act}" for act in (*ACTS, "edit", "answers"))])
def test_anothers_endpoint_is_as_unknown(tenant: Any, other_tenant: Any, act: str) -> None:
    foreign = make_endpoint(other_tenant)
    browser = logged_in(tenant, payloads=True)
    form = {**FORM, "hours": "1", "overlap_seconds": "0"}
    for path in (path_of(foreign), "/console/webhooks/end_01h455vb4pex5vsknk084sn02q", "/console/webhooks/nothing"):
        assert browser.get(path + act).status_code in (404, 405)
        if act:
            assert browser.post(path + act, form).status_code == 404
    assert WebhookEndpoint.objects.get().status == "enabled"


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_set_up_webhooks_is_refused_and_offered_nothing(tenant: Any, role: str) -> None:
    endpoint, visitor = make_endpoint(tenant), make_person(tenant, role)
    for act in ACTS:
        assert visitor.post(f"{path_of(endpoint)}/{act}").status_code == 403
    assert visitor.get("/console/webhooks/new").status_code == 403
    words = text_of(visitor.get(path_of(endpoint)))
    assert not any(word in words for word in ("Send a test event", "Rotate the secret", "Count them", "Edit"))
