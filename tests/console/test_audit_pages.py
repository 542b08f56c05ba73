"""The audit log's screen: who did what, filtered by the address, in pages, exported; only for who may read it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobservice.jobs.queues import change_queue
from tenants.acting import Actor, acting_as
from tenants.audit_lists import AuditFilters, list_audit_events, represent_audit_event
from tenants.models import AuditEvent, Member
from tests.console.visiting import make_person, text_of
from tests.factories import make_job, make_tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def make_events(tenant: Any, *names: str) -> None:
    for name in names:
        make_job(tenant, queue=name)
        actor = Actor("api-key", f"key_{name}", address="192.0.2.7", request_id=f"req-{name}")
        with acting_as(actor):
            change_queue(tenant.id, name, {"concurrency": 5})
            change_queue(tenant.id, name, {"concurrency": 7})


def test_it_shows_who_did_what_with_before_and_after(tenant: Any, other_tenant: Any) -> None:
    make_events(tenant, "mail")
    make_events(other_tenant, "others")
    words = text_of(make_person(tenant, "admin").get("/console/audit"))
    for word in ("queue.updated", "key_mail", "192.0.2.7", "req-mail", "concurrency 5 → 7"):
        assert word in words
    assert "others" not in words


def test_a_member_is_named_by_their_address(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    visitor = make_person(tenant, "admin")
    visitor.post("/console/queues/mail/pause")
    assert re.search(r"person-\d+@example.com mem_", text_of(visitor.get("/console/audit?action=queue.updated")))
    # And when they are a member no more.
    Member.objects.filter(id=visitor.member_id).update(status="removed")
    later = make_person(tenant, "admin").get("/console/audit?action=queue.updated")
    assert re.search(r"person-\d+@example.com mem_", text_of(later))


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("actor=key_mail", "req-mail", "req-other"),
        ("object=other", "req-other", "req-mail"),
        ("action=queue.updated&actor=key_other", "req-other", "req-mail"),
        ("since=2020-01-01T00:00:00Z&object=mail", "req-mail", "req-other"),
        ("until=2020-01-01T00:00:00Z", "Nothing that the filter wants", "req-mail"),
        ("actor=operator", "Nothing that the filter wants", "req-mail"),
    ],
)
def test_filters_stand_in_the_address(tenant: Any, query: str, shown: str, hidden: str) -> None:
    make_events(tenant, "mail", "other")
    if query == "actor=operator":
        assert not AuditEvent.objects.filter(tenant_id=tenant.id, actor_type="operator").exists()
    words = text_of(make_person(tenant).get(f"/console/audit?{query}"))
    assert shown in words
    assert hidden not in words


@pytest.mark.parametrize("query", ["since=yesterday", "action=nothing", f"actor={'x' * 201}", "object=%00"])
def test_a_filter_that_cannot_be_is_told(tenant: Any, query: str) -> None:
    visitor = make_person(tenant)
    assert visitor.get(f"/console/audit?{query}").status_code == 422
    assert visitor.get(f"/console/audit/export?{query}").status_code == 422


def test_pages_go_on_and_keep_the_filter(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.audit.PAGE_SIZE", 1)
    make_events(tenant, "mail", "other")
    visitor = make_person(tenant)
    first = visitor.get("/console/audit?object=mail").content.decode()
    found = re.search(r'href="(/console/audit\?[^"]*cursor=[^"]+)"', first)
    assert found is not None
    second = text_of(visitor.get(found[1].replace("&amp;", "&")))
    assert "→ 5" in second
    assert "→ 7" not in second
    # A place in one list is none in another.
    assert visitor.get(found[1].replace("&amp;", "&").replace("object=mail", "object=other")).status_code == 422


def export(visitor: Any, query: str = "") -> list[dict[str, Any]]:
    """The lines of an export, read as the web role: they are made while they are sent."""
    answer = visitor.get(f"/console/audit/export{query}")
    assert "attachment" in answer["Content-Disposition"]
    return [json.loads(line) for line in send(answer).splitlines()]


def send(answer: Any) -> bytes:
    with as_role("web"):
        return b"".join(answer.streaming_content)


def test_the_export_holds_all_that_the_filter_finds_and_nothing_else(
    tenant: Any, other_tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenants.console.audit_export.EVENTS_AT_ONCE", 2)
    make_events(tenant, *(f"mail-{number}" for number in range(4)), "other")
    make_events(other_tenant, "mail-9")
    visitor = make_person(tenant)
    found = export(visitor, "?action=queue.updated")
    assert len(found) == 10
    assert [one["seq"] for one in found] == sorted((one["seq"] for one in found), reverse=True)
    assert [one["object"]["id"] for one in export(visitor, "?object=mail-3")] == ["mail-3", "mail-3"]
    assert export(visitor, "?object=mail-9") == []
    # As the API answers them.
    with as_role("web"):
        (newest,) = list_audit_events(tenant.id, AuditFilters(object="mail-3"), limit=1)
    assert found[2] == represent_audit_event(newest)
    # To read is no act.
    assert not AuditEvent.objects.filter(tenant_id=tenant.id, action__startswith="audit").exists()


def test_a_log_that_is_exported_is_never_in_memory_as_a_whole(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.audit_export.EVENTS_AT_ONCE", 2)
    make_events(tenant, "mail", "other")
    answer = make_person(tenant).get("/console/audit/export?action=queue.updated")
    with as_role("web"), CaptureQueriesContext(connection) as seen:
        first = next(iter(answer.streaming_content))
    assert first.count(b"\n") == 2
    assert sum('FROM "audit_event"' in query["sql"] for query in seen) == 1
    answer.close()


def test_a_tenant_has_one_export_at_a_time_and_another_is_told_to_wait(tenant: Any, other_tenant: Any) -> None:
    visitor = make_person(tenant)
    first = visitor.get("/console/audit/export")
    refused = visitor.get("/console/audit/export")
    assert refused.status_code == 429
    assert refused["Retry-After"]
    second = make_person(other_tenant).get("/console/audit/export")
    assert second.status_code == 200
    assert make_person(make_tenant()).get("/console/audit/export").status_code == 429
    for answer in (first, second):
        send(answer)
    export(visitor)


def test_markup_in_what_is_written_down_is_shown_as_text(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    with acting_as(Actor("api-key", "<img src=x>", request_id="<b>r</b>")):
        change_queue(tenant.id, "mail", {"concurrency": 5})
    page = make_person(tenant).get("/console/audit").content.decode()
    assert "<img src=x>" not in page
    assert "&lt;img src=x&gt;" in page
    assert "<b>r</b>" not in page


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_without_the_permission_there_is_no_log(tenant: Any, role: str) -> None:
    visitor = make_person(tenant, role)
    assert visitor.get("/console/audit").status_code == 403
    assert visitor.get("/console/audit/export").status_code == 403
    assert 'href="/console/audit"' not in visitor.get("/console/queues").content.decode()
