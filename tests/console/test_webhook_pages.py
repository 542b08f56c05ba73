"""Webhooks in the console: endpoints and how they take what they are told, and their deliveries."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from jobservice.ids import BULK_ACTION, DELIVERY, ENDPOINT, show_id
from jobservice.jobs.bulk_actions import make_replay
from jobservice.jobs.models import BulkAction
from jobservice.webhooks.delivery_records import DeliveryResult
from jobservice.webhooks.event_types import SENT_TYPES
from jobservice.webhooks.models import Delivery
from jobservice.webhooks.replay_filters import parse_replay
from jobservice.webhooks.signing import signed_headers
from tenants.console.verify_snippets import PYTHON
from tenants.models import AuditEvent
from tests.api.replays import make_deliveries
from tests.console.endpoint_paths import path_of
from tests.console.test_jobs_page import live_href
from tests.console.visiting import make_person, text_of
from tests.webhooks.test_endpoints import end_job, make_endpoint, record, runs, start
from workers.executors.deliveries import Try, make_result

pytestmark = pytest.mark.django_db


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
