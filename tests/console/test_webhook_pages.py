"""Webhooks in the console: endpoints and how they take what they are told, their deliveries, and acts on both."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import UUID

import pytest

from jobservice.ids import BULK_ACTION, DELIVERY, ENDPOINT, JOB, show_id
from jobservice.jobs.bulk_actions import make_replay
from jobservice.jobs.models import BulkAction
from jobservice.webhooks.delivery_records import DeliveryResult
from jobservice.webhooks.endpoints import EndpointView, change_endpoint, find_endpoint
from jobservice.webhooks.event_types import SENT_TYPES
from jobservice.webhooks.models import Delivery, LiveDelivery, WebhookEndpoint
from jobservice.webhooks.replay_filters import parse_replay
from jobservice.webhooks.signing import signed_headers
from tenants.console.verify_snippets import PYTHON
from tenants.models import AuditEvent, Tenant
from tests.api.replays import make_deliveries
from tests.console.people import logged_in
from tests.console.test_jobs_page import live_href
from tests.console.visiting import make_person, text_of
from tests.webhooks.test_endpoints import end_job, make_endpoint, record, runs, start
from workers.executors.deliveries import Try, make_result

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/events"
FORM = {"url": URL, "events": "job.completed", "signing": "v1 default"}
ACTS = ("pause", "enable", "delete", "rotate", "test", "recover")


def path_of(endpoint: EndpointView) -> str:
    return f"/console/webhooks/{show_id(ENDPOINT, endpoint.id)}"


def settings_of(tenant: Any, endpoint_id: UUID) -> dict[str, Any]:
    view = find_endpoint(tenant.id, endpoint_id)
    assert view is not None
    return view.settings


def test_without_endpoints_the_page_explains_events_and_how_to_verify_them(tenant: Any) -> None:
    visitor = make_person(tenant, "viewer")
    for path in ("/console/webhooks", "/console/webhooks/events"):
        words = text_of(visitor.get(path))
        assert all(name in words for name in SENT_TYPES)
        assert "hmac.compare_digest" in words
        assert "createHmac" in words
        assert "openssl dgst" in words
    assert "New endpoint" not in text_of(visitor.get("/console/webhooks"))


def test_the_snippet_verifies_what_is_sent_and_nothing_else() -> None:
    known: dict[str, Any] = {}
    exec(PYTHON, known)  # noqa: S102 (what the page shows, as a receiver runs it)
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers([secret], message_id="evt_1", timestamp=int(time.time()), body=b"{}")
    assert known["verify"](secret, headers, b"{}")
    assert not known["verify"](secret, headers, b"[]")
    late = signed_headers([secret], message_id="evt_1", timestamp=int(time.time()) - 301, body=b"{}")
    assert not known["verify"](secret, late, b"{}")


def test_the_list_shows_how_each_endpoint_takes_what_it_is_told(tenant: Any, other_tenant: Any) -> None:
    endpoint = make_endpoint(tenant, url="http://127.0.0.1:9/mine?token=s3cr3t")
    make_endpoint(other_tenant, url="http://127.0.0.1:9/foreign")
    for status in (200, 200, 200, 500):
        end_job(tenant)
        state: Any = "delivered" if status == 200 else "failed"
        for one in start():
            done = DeliveryResult(one.ref, duration_ms=80, status=status, final_state=state, endpoint_id=endpoint.id)
            record(done)
    words = text_of(make_person(tenant, "admin").get("/console/webhooks"))
    assert "http://127.0.0.1:9/mine?token=s3cr3t" in words
    assert "75.0 %" in words
    assert "80 ms" in words
    assert "foreign" not in words
    # An address may hold a credential: whoever only looks sees where it leads.
    viewer = make_person(tenant, "viewer")
    for path in ("/console/webhooks", path_of(endpoint)):
        assert "http://127.0.0.1/…" in text_of(viewer.get(path))
        assert "s3cr3t" not in viewer.get(path).content.decode()


def test_deliveries_are_shown_with_every_try_and_filtered_by_the_address(tenant: Any) -> None:
    endpoint = make_endpoint(tenant, events=["*"])
    end_job(tenant)
    (one,) = start()
    record(DeliveryResult(one.ref, duration_ms=7, status=503, final_state="failed", endpoint_id=endpoint.id))
    end_job(tenant, "failed")
    visitor, path = make_person(tenant), path_of(endpoint)
    failed, other = show_id(DELIVERY, Delivery.objects.order_by("id")[0].id), Delivery.objects.order_by("-id")[0]
    rest = show_id(DELIVERY, other.id)
    everything = visitor.get(path).content.decode()
    assert failed in everything
    assert rest in everything
    assert "503" in text_of(visitor.get(path))
    for query, shown, hidden in (
        ("?state=failed", failed, rest),
        ("?event=job.discarded", rest, failed),
        ("?state=pending&event=job.discarded", rest, failed),
    ):
        page = visitor.get(path + query).content.decode()
        assert f'id="{shown}"' in page, query
        assert f'id="{hidden}"' not in page, query
    assert "None that the filter wants." in text_of(visitor.get(f"{path}?state=delivered"))
    assert visitor.get(f"{path}?state=nonsense&event=nonsense").status_code == 200
    assert visitor.get(f"{path}?cursor=nonsense").status_code == 422


def test_pages_of_deliveries_go_on_by_their_address(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.endpoints.DELIVERIES", 1)
    endpoint = make_endpoint(tenant)
    older, newer = make_deliveries(tenant, endpoint, count=2)
    visitor = make_person(tenant)
    first = visitor.get(f"{path_of(endpoint)}?state=failed").content.decode()
    assert show_id(DELIVERY, newer) in first
    found = re.search(r'href="([^"]+cursor=[^"]+)"', first)
    assert found is not None
    second = visitor.get(found[1].replace("&amp;", "&")).content.decode()
    assert show_id(DELIVERY, older) in second
    assert show_id(DELIVERY, newer) not in second


def test_deliveries_stay_fresh_where_they_are_and_new_ones_are_counted(tenant: Any, other_tenant: Any) -> None:
    endpoint, other = make_endpoint(tenant), make_endpoint(other_tenant)
    (shown,) = make_deliveries(tenant, endpoint)
    (foreign,) = make_deliveries(other_tenant, other)
    visitor, path = make_person(tenant), path_of(endpoint)
    href = live_href(visitor.get(path), "rows")
    assert href.startswith(f"{path}/deliveries?")
    first = visitor.get(href)
    assert "new: show" not in text_of(first)
    assert visitor.get(href, If_None_Match=first["ETag"]).status_code == 304
    (newer,) = make_deliveries(tenant, endpoint)
    Delivery.objects.filter(id=shown).update(final_state="delivered")
    again = visitor.get(href, If_None_Match=first["ETag"])
    page = again.content.decode()
    assert "1 new: show" in text_of(again)
    assert "Delivered" in text_of(again)
    assert f'id="{show_id(DELIVERY, shown)}"' in page
    assert show_id(DELIVERY, newer) not in page
    # What is another endpoint's is none of this one, whoever asks for it.
    asked = f"{path}/deliveries?deliveries={show_id(DELIVERY, foreign)},{show_id(DELIVERY, newer)},nonsense"
    page = visitor.get(asked).content.decode()
    assert f'id="{show_id(DELIVERY, foreign)}"' not in page
    assert f'id="{show_id(DELIVERY, newer)}"' in page
    assert visitor.get(f"{path_of(other)}/deliveries").status_code == 404


def test_new_deliveries_are_those_that_the_filter_wants(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    visitor, path = make_person(tenant, "viewer"), path_of(endpoint)
    href = live_href(visitor.get(f"{path}?state=failed"), "rows")
    make_deliveries(tenant, endpoint, state="delivered", count=2)
    assert "None that the filter wants." in text_of(visitor.get(href))
    make_deliveries(tenant, endpoint)
    fresh = visitor.get(href)
    assert "1 new: show" in text_of(fresh)
    assert f'href="{path}?state=failed"' in fresh.content.decode()


def test_deliveries_whose_answers_are_open_stand_still(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    make_deliveries(tenant, endpoint)
    opened = make_person(tenant, may_read_payloads=True).post(f"{path_of(endpoint)}/answers").content.decode()
    assert "data-live-part" not in opened
    assert "data-live-chip" not in opened


def test_a_replay_is_told_as_one_of_deliveries(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    make_replay(tenant.id, endpoint.id, parse_replay({"since": "2020-01-01T00:00:00Z"}))
    action = BulkAction.objects.get()
    page = make_person(tenant).get(f"/console/bulk-actions/{show_id(BULK_ACTION, action.id)}")
    words = text_of(page)
    assert f"Deliveries to {show_id(ENDPOINT, endpoint.id)} Which of them since:2020" in words
    content = page.content.decode()
    assert f'<a href="{path_of(endpoint)}">Webhook endpoint</a>' in content
    assert "<dt>Jobs</dt>" not in content


@pytest.mark.parametrize(("role", "status", "left"), [("operator", 403, "running"), ("admin", 302, "aborted")])
def test_a_replay_is_ended_by_who_may_begin_one(tenant: Any, role: str, status: int, left: str) -> None:
    endpoint = make_endpoint(tenant)
    make_deliveries(tenant, endpoint)
    make_replay(tenant.id, endpoint.id, parse_replay({"since": "2020-01-01T00:00:00Z"}))
    visitor, path = (
        make_person(tenant, role),
        f"/console/bulk-actions/{show_id(BULK_ACTION, BulkAction.objects.get().id)}",
    )
    assert ("/abort" in visitor.get(path).content.decode()) == (status == 302)
    assert visitor.post(f"{path}/abort").status_code == status
    assert BulkAction.objects.get().status == left


def test_what_was_answered_is_opened_only_by_an_audited_reveal(tenant: Any) -> None:
    endpoint = make_endpoint(tenant)
    end_job(tenant)
    (run,) = runs()
    record(make_result(run, Try(status=500, body=b"<script>broken</script>")))
    path = path_of(endpoint)
    seeing = make_person(tenant, "viewer", may_read_payloads=True)
    assert "broken" not in seeing.get(path).content.decode()
    assert seeing.get(f"{path}/answers").status_code == 405
    shown = seeing.post(f"{path}/answers")
    assert "&lt;script&gt;broken" in shown.content.decode()
    assert "<script>broken" not in shown.content.decode()
    assert AuditEvent.objects.get(action="endpoint.answers-read").actor_type == "member"
    blind = make_person(tenant, "owner")
    assert blind.post(f"{path}/answers").status_code == 403
    assert "Reveal" not in text_of(blind.get(path))


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
