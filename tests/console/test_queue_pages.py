"""Queues: what is in them, their switch, and a change of limits that is shown before it is made."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobservice.ids import MEMBER, show_id
from jobservice.jobs.models import Queue
from jobservice.jobs.queues import change_queue
from jobservice.jobs.statistics import fold_statistics
from tenants.models import ApiKey, AuditEvent, Member
from tests.clock_edges import begin_within
from tests.console.visiting import make_person, text_of
from tests.factories import make_job
from tests.jobs.dispatching import claim, start
from tests.roles import as_role
from tests.webhooks.test_endpoints import end_job

pytestmark = pytest.mark.django_db

LIMITS = {"concurrency": "7", "key_concurrency": "2", "rate_limit": "10", "rate_period_seconds": "60"}


def test_the_list_shows_what_is_in_each_queue(tenant: Any, other_tenant: Any) -> None:
    make_job(tenant, queue="mail")
    make_job(other_tenant, queue="others")
    words = text_of(make_person(tenant, "viewer").get("/console/queues"))
    assert "mail" in words
    assert "others" not in words


def test_without_queues_the_page_says_what_one_is(tenant: Any) -> None:
    assert "A queue is a named lane of jobs" in text_of(make_person(tenant).get("/console/queues"))


@pytest.mark.parametrize("queue", ["others", "nothing", "NoName", "ROWSx"])
def test_anothers_queue_is_as_unknown(tenant: Any, other_tenant: Any, queue: str) -> None:
    make_job(other_tenant, queue="others")
    visitor = make_person(tenant)
    for part in ("", "/now", "/pause"):
        assert visitor.get(f"/console/queues/{queue}{part}").status_code == 404
    assert visitor.post(f"/console/queues/{queue}/pause").status_code == 404
    assert visitor.post(f"/console/queues/{queue}", **LIMITS, confirmed="1").status_code == 404


def test_a_queue_is_paused_and_resumed(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    visitor = make_person(tenant, "operator")
    assert "mail is paused" in text_of(visitor.follow(visitor.post("/console/queues/mail/pause")))
    assert Queue.objects.get(name="mail").paused_at is not None
    assert "mail goes on" in text_of(visitor.follow(visitor.post("/console/queues/mail/resume", back="queue")))
    assert Queue.objects.get(name="mail").paused_at is None


def test_a_pause_asks_why_and_tells_it_until_the_queue_goes_on(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    operator, viewer = make_person(tenant, "operator"), make_person(tenant, "viewer")
    email = Member.objects.get(id=operator.member_id).email
    assert "Why?" in text_of(operator.get("/console/queues/mail/pause?back=queue"))
    reason = "<b>the printer</b> is down"
    page = operator.follow(operator.post("/console/queues/mail/pause", reason=f"  {reason} ", back="queue"))
    assert f"by {email}: none of its jobs starts. {reason}" in text_of(page)
    assert "<b>the printer" not in page.content.decode()
    for path in ("/console/queues", "/console/queues/ROWS"):
        assert f"{email}: {reason}" in text_of(viewer.get(path))
    # Not in the log, which never forgets.
    assert reason not in (AuditEvent.objects.get(action="queue.updated").after or "")
    operator.post("/console/queues/mail/resume")
    change_queue(tenant.id, "mail", {"paused": True})
    assert "the printer" not in text_of(viewer.get("/console/queues/mail"))
    assert email not in text_of(viewer.get("/console/queues"))


def test_a_pause_by_an_api_key_tells_the_name_of_the_key(tenant: Any, api: Any) -> None:
    make_job(tenant, queue="mail")
    assert api.post("/v1/queues/mail/pause", key=tenant.api_key).status_code == 200
    name = ApiKey.objects.get(tenant_id=tenant.id).name
    assert f"the API key {name}" in text_of(make_person(tenant, "viewer").get("/console/queues"))


def test_who_pauses_a_paused_queue_is_told_who_did_it_and_why_and_the_first_reason_stays(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    first, second = make_person(tenant, "operator"), make_person(tenant, "operator")
    email = Member.objects.get(id=first.member_id).email
    path = "/console/queues/mail/pause"
    first.post(path, reason="no paper")
    told = text_of(second.follow(second.post(path, reason="the <b>printer</b> burns", back="queue")))
    assert f'mail is already paused by {email} because "no paper". Your reason is not kept.' in told
    assert "mail is paused: none" not in told
    assert "burns" not in told
    told = text_of(second.follow(second.post(path)))
    assert f"already paused by {email} because" in told
    assert "Your reason" not in told
    row = Queue.objects.get(name="mail")
    assert (row.paused_reason, row.paused_by_id) == ("no paper", show_id(MEMBER, first.member_id))
    # The same form sent twice, and one's own other reason.
    assert "mail is paused: none" in text_of(first.follow(first.post(path, reason="no paper")))
    assert "Your reason is not kept." in text_of(first.follow(first.post(path, reason="no ink")))
    first.post("/console/queues/mail/resume")
    assert "mail is paused: none" in text_of(second.follow(second.post(path, reason="it burns")))
    assert Queue.objects.get(name="mail").paused_reason == "it burns"


def test_a_pause_by_an_api_key_or_by_nobody_known_is_told_too(tenant: Any, api: Any) -> None:
    make_job(tenant, queue="mail")
    api.post("/v1/queues/mail/pause", key=tenant.api_key)
    visitor = make_person(tenant, "operator")
    name = ApiKey.objects.get(tenant_id=tenant.id).name
    told = text_of(visitor.follow(visitor.post("/console/queues/mail/pause", reason="no paper")))
    assert f"mail is already paused by the API key {name}, who gave no reason. Your reason is not kept." in told
    Queue.objects.update(paused_by_type=None, paused_by_id=None)
    assert "mail is already paused." in text_of(visitor.follow(visitor.post("/console/queues/mail/pause")))


@pytest.mark.parametrize("reason", ["x" * 201, "\x00"])
def test_a_reason_that_cannot_be_kept_is_told_and_nothing_is_paused(tenant: Any, reason: str) -> None:
    make_job(tenant, queue="mail")
    answer = make_person(tenant, "operator").post("/console/queues/mail/pause", reason=reason)
    assert answer.status_code == 422
    assert Queue.objects.get(name="mail").paused_at is None


def test_whoever_resumes_a_queue_in_whatever_way_takes_the_note_of_its_pause_away(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    make_person(tenant, "operator").post("/console/queues/mail/pause", reason="no paper")
    # As a process that does not know of notes.
    Queue.objects.update(paused_at=None)
    row = Queue.objects.get(name="mail")
    assert (row.paused_by_type, row.paused_by_id, row.paused_reason) == (None, None, None)


def test_the_used_part_of_a_rate_is_shown(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    change_queue(tenant.id, "mail", {"rate": {"limit": 6, "period_seconds": 3600, "burst": 4}})
    viewer = make_person(tenant, "viewer")
    assert "6 / 3 600 s 0 / 4" in text_of(viewer.get("/console/queues")).replace("\u202f", " ")
    for _ in range(2):
        make_job(tenant, queue="mail")
    assert len(claim()) == 3
    for path in ("/console/queues", "/console/queues/mail"):
        assert "3 / 4" in text_of(viewer.get(path))


def test_concurrency_keys_tell_how_many_run_and_wait_and_not_what_they_are(tenant: Any, other_tenant: Any) -> None:
    for key, count in (("customer-7", 4), ("customer-8", 1)):
        for _ in range(count):
            make_job(tenant, queue="mail", concurrency_key=key)
    make_job(other_tenant, queue="mail", concurrency_key="customer-9")
    visitor = make_person(tenant, "viewer")
    assert "Concurrency keys" not in text_of(visitor.get("/console/queues/mail"))
    start(claim())
    for path in ("/console/queues/mail", "/console/queues/mail/now"):
        page = visitor.get(path).content.decode()
        rows = re.findall(r'<tr id="key-[0-9a-f]{8}">(.*?)</tr>', page, re.S)
        assert ["1 / 1" in row for row in rows] == [True, True]
        assert [re.search(r'Wait for it">(\d+)<', row)[1] for row in rows] == ["3", "0"]  # type: ignore[index]
        assert "customer-" not in page
        held = re.search(r"/console/jobs/(job_\w+)", rows[0])
        assert held is not None
        assert visitor.get(f"/console/jobs/{held[1]}").status_code == 200


def test_long_queues_are_counted_so_far_and_no_further(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.queues.COUNTED_OF_MANY", 3)
    monkeypatch.setattr("tenants.console.queues.COUNTED", 4)
    for _ in range(5):
        make_job(tenant, queue="mail")
        make_job(tenant, queue="mail", delay_seconds=60)
    visitor = make_person(tenant, "viewer")
    page = visitor.get("/console/queues").content.decode()
    assert re.search(r'data-name="Ready">3\+<.*data-name="Later">3\+<', page, re.S)
    assert text_of(visitor.get("/console/queues/mail")).count(" 4+ ") == 2
    for _ in range(5):
        make_job(tenant, queue="few", delay_seconds=60)
    Queue.objects.filter(name="mail").delete()
    monkeypatch.setattr("tenants.console.queues.COUNTED_OF_MANY", 5)
    assert re.search(r'data-name="Later">5<', visitor.get("/console/queues").content.decode())


def test_what_ended_lately_is_drawn(tenant: Any) -> None:
    begin_within(300)
    end_job(tenant, queue="mail")
    end_job(tenant, queue="mail")
    with as_role("dispatcher"):
        fold_statistics()
    page = make_person(tenant, "viewer").get("/console/queues").content.decode()
    assert "Jobs that ended, by five minutes: now 2, at most 2" in page


def test_a_change_is_shown_before_it_is_made_and_made_to_what_was_shown(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    visitor = make_person(tenant, "operator")
    shown = visitor.post("/console/queues/mail", **LIMITS)
    assert "Running at once none → 7" in text_of(shown)
    assert Queue.objects.get(name="mail").concurrency is None
    found = re.search(r'name="revision" value="([^"]+)"', shown.content.decode())
    assert found is not None
    answer = visitor.post("/console/queues/mail", **LIMITS, revision=found[1], confirmed="1")
    assert "The limits are changed" in text_of(visitor.follow(answer))
    row = Queue.objects.get(name="mail")
    assert (row.concurrency, row.key_concurrency, row.rate) == (7, 2, {"limit": 10, "period_seconds": 60, "burst": 10})
    late = visitor.post("/console/queues/mail", **{**LIMITS, "concurrency": "9"}, revision=found[1], confirmed="1")
    assert "Somebody else changed the queue" in text_of(visitor.follow(late))
    assert Queue.objects.get(name="mail").concurrency == 7


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"concurrency": "x"}, "This must be a whole number."),
        ({"concurrency": "999999999"}, "concurrency must be between"),
        ({"rate_limit": "5"}, "period_seconds is required"),
    ],
)
def test_limits_that_cannot_be_are_told_at_their_field(tenant: Any, fields: dict[str, str], words: str) -> None:
    make_job(tenant, queue="mail")
    answer = make_person(tenant).post("/console/queues/mail", **fields, confirmed="1")
    assert answer.status_code == 422
    assert words in text_of(answer)


def test_a_viewer_changes_no_queue(tenant: Any) -> None:
    make_job(tenant, queue="mail")
    visitor = make_person(tenant, "viewer")
    assert visitor.get("/console/queues/mail/pause").status_code == 403
    for path in ("", "/pause", "/resume"):
        assert visitor.post(f"/console/queues/mail{path}", **LIMITS, confirmed="1").status_code == 403
    assert "Look at the change" not in text_of(visitor.get("/console/queues/mail"))
