"""Retry with an edited payload: who may, what the editor takes and refuses, and what comes of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from jobservice.handlers import Job as RunningJob
from jobservice.handlers import handler
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import Job
from jobservice.jobs.retry import retry_job
from jobservice.testing import drain_queue
from tenants.models import AuditEvent
from tenants.models import Tenant as TenantRow
from tests.console.visiting import Visitor, make_person, text_of
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import job_uuid

pytestmark = pytest.mark.django_db
UNKNOWN = "job_01h455vb4pex5vsknk084sn02q"
STEPS = ("edit", "retry-edited")
_seen: list[Any] = []


@handler("edited.trial")
def _note(payload: Any, _job: RunningJob) -> None:
    _seen.append(payload)


def ended_job(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    job = make_job(tenant, **{"payload": {"secret": "s3cr3t-value"}, **fields})
    cancel_job(tenant.id, job_uuid(job))
    return job


def editor(tenant: Tenant, role: str = "operator") -> Visitor:
    return make_person(tenant, role, may_read_payloads=True)


def send(visitor: Visitor, job: dict[str, Any], payload: str, *, key: str = "a") -> Any:
    return visitor.post(f"/console/jobs/{job['id']}/retry-edited", payload=payload, key=key)


def key_of(shown: Any) -> str:
    """The key of the form on the page."""
    (key,) = re.findall(r'name="key" value="([^"]+)"', shown.content.decode())
    return str(key)


def job_of(path: str) -> str:
    return path.rpartition("/")[2]


def test_the_handler_gets_the_new_payload_and_both_pages_name_the_other_job(tenant: Tenant) -> None:
    _seen.clear()
    old = ended_job(tenant, type="edited.trial", tags={"customer": "7"})
    visitor = editor(tenant)
    path = f"/console/jobs/{old['id']}"
    assert "Retry with an edited payload" in text_of(visitor.get(path))
    shown = visitor.post(f"{path}/edit")
    assert '"secret": "s3cr3t-value"' in text_of(shown)
    answer = send(visitor, old, '{"order": 12345678901234567890}')
    made = job_of(answer["Location"])
    assert drain_queue(tenant) == {"completed": 1}
    assert _seen == [{"order": 12345678901234567890}]
    words = text_of(visitor.follow(answer))
    assert "This is the new job" in words
    assert f"Made from {old['id']}" in words
    assert "Completed" in words
    assert f"Followed by {made}" in text_of(visitor.get(path))
    assert Job.objects.get(id=job_uuid(old)).final_state == "cancelled"


def test_who_did_it_is_written_down_and_no_payload(tenant: Tenant) -> None:
    old, visitor = ended_job(tenant), editor(tenant)
    visitor.post(f"/console/jobs/{old['id']}/edit")
    made = job_of(send(visitor, old, '{"secret": "n3w-value"}')["Location"])
    look, act = AuditEvent.objects.filter(tenant_id=tenant.id, actor_type="member").order_by("seq")
    assert (look.action, look.object_id, look.after) == ("job.parts-read", old["id"], '{"parts":["payload"]}')
    assert (act.action, act.object_id, act.after) == ("job.followed", old["id"], f'{{"follower":"{made}"}}')
    assert "value" not in f"{vars(look)}{vars(act)}"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("role", "may_read_payloads"), [("owner", False), ("operator", False), ("viewer", True)])
def test_it_takes_the_right_to_act_and_the_right_to_see_payloads(
    tenant: Tenant, step: str, role: str, may_read_payloads: bool
) -> None:
    old = ended_job(tenant)
    visitor = make_person(tenant, role, may_read_payloads=may_read_payloads)
    answer = visitor.post(f"/console/jobs/{old['id']}/{step}", payload="1", key="a")
    assert answer.status_code == 403
    assert "s3cr3t-value" not in answer.content.decode()
    assert "edited payload" not in text_of(visitor.get(f"/console/jobs/{old['id']}"))
    assert Job.objects.count() == 1


@pytest.mark.parametrize("payload", ["1", "{", ""])
@pytest.mark.parametrize("step", STEPS)
def test_anothers_job_is_as_unknown_and_as_an_erased_one(
    tenant: Tenant, other_tenant: Tenant, step: str, payload: str
) -> None:
    erased = ended_job(tenant)
    erase_job(tenant.id, job_uuid(erased))
    visitor, foreign = editor(tenant, "owner"), ended_job(other_tenant)
    before = AuditEvent.objects.count()
    answers = [
        visitor.post(f"/console/jobs/{job_id}/{step}", payload=payload, key="a")
        for job_id in (foreign["id"], UNKNOWN, erased["id"], "x")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({text_of(answer) for answer in answers}) == 1
    assert (Job.objects.count(), AuditEvent.objects.count()) == (1, before)


def test_without_a_post_nothing_is_opened(tenant: Tenant) -> None:
    old, visitor = ended_job(tenant), editor(tenant)
    assert {visitor.get(f"/console/jobs/{old['id']}/{step}").status_code for step in STEPS} == {405}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "The payload is empty."),
        ('{"a": 1,\n "b" 2}', "Expecting ':' delimiter at line 2, column 6."),
        ('{"a": 1, "a": 2}', "An object has the same member twice."),
        ('"a\x00b"', "Invalid control character at at line 1, column 3."),
        ('"\\ud800"', "The payload has half of a surrogate pair."),
        ("NaN", "NaN and Infinity are not JSON."),
        ("[" * 101 + "]" * 101, "The payload is nested more than 100 deep."),
        ("1e999", "A number is too large."),
    ],
)
def test_what_is_no_json_is_shown_again_with_why(tenant: Tenant, typed: str, told: str) -> None:
    old, visitor = ended_job(tenant), editor(tenant)
    answer = send(visitor, old, typed)
    assert answer.status_code == 422
    assert told in text_of(answer)
    assert 'aria-invalid="true"' in answer.content.decode()
    assert typed.replace("\x00", "").strip()[:20] in text_of(answer).replace("\x00", "") or "\n" in typed
    assert (Job.objects.count(), "s3cr3t-value" in answer.content.decode()) == (1, False)


def test_violations_of_the_types_schema_are_shown_where_they_are(tenant: Tenant) -> None:
    schema = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order", "shop"]}
    put_job_type(tenant.id, "t.checked", {"executor": "handler", "handler": "echo"})
    old = ended_job(tenant, type="t.checked")
    put_job_type(tenant.id, "t.checked", {"executor": "handler", "handler": "echo", "payload_schema": schema})
    visitor = editor(tenant)
    answer = send(visitor, old, '{"order": "x"}')
    assert answer.status_code == 422
    words = text_of(answer)
    assert "/order" in words
    assert "/payload" not in words
    assert send(visitor, old, '{"order": 1, "shop": 2}').status_code == 302


def test_a_payload_over_the_tenants_limit_is_refused(tenant: Tenant) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"payload_bytes": 100})
    old, visitor = ended_job(tenant), editor(tenant)
    answer = send(visitor, old, json.dumps("x" * 99))
    assert answer.status_code == 422
    assert "The payload has 101 bytes; at most 100 are allowed." in text_of(answer)
    assert send(visitor, old, json.dumps("x" * 98)).status_code == 302


def test_a_form_beyond_the_pages_bound_is_refused_and_a_large_payload_is_not_half_shown(tenant: Tenant) -> None:
    old, visitor = ended_job(tenant, payload=["s3cr3t-value"] * 40_000), editor(tenant)
    assert send(visitor, old, "x" * 1024**2).status_code == 413
    shown = visitor.post(f"/console/jobs/{old['id']}/edit")
    assert "too large to be edited here" in text_of(shown)
    assert "s3cr3t-value" not in shown.content.decode()


def test_a_payload_that_is_sent_back_as_it_was_is_taken(tenant: Tenant) -> None:
    """Also where the layout, and the encoding of a form, make it many times longer."""
    payload = {"numbers": [1] * 20_000, "text": "\u00e4\u20ac\U0001f600 </textarea><b>" * 1000, "deep": [[[[]]]]}
    old, visitor = ended_job(tenant, payload=payload), editor(tenant)
    shown = visitor.post(f"/console/jobs/{old['id']}/edit")
    assert shown.status_code == 200
    made = send(visitor, old, shown.context["text"].replace("\n", "\r\n"))
    assert made.status_code == 302
    first, second = Job.objects.order_by("id")
    assert first.payload_bytes == second.payload_bytes


def test_a_job_that_is_not_over_is_not_opened(tenant: Tenant) -> None:
    job, visitor = make_job(tenant, payload="s3cr3t-value", delay_seconds=60), editor(tenant)
    before = AuditEvent.objects.count()
    assert "edited payload" not in text_of(visitor.get(f"/console/jobs/{job['id']}"))
    opened, sent = visitor.post(f"/console/jobs/{job['id']}/edit"), send(visitor, job, "1")
    for answer in (opened, sent):
        assert answer.status_code == 409
        assert "cancel it first" in text_of(answer)
    assert "s3cr3t-value" not in opened.content.decode()
    assert (Job.objects.count(), AuditEvent.objects.count()) == (1, before)


def test_a_form_sent_twice_makes_one_job_and_changed_in_between_is_told(tenant: Tenant) -> None:
    old, visitor = ended_job(tenant), editor(tenant)
    first, second = send(visitor, old, '{"a": 1}'), send(visitor, old, '{"a":1}')
    assert first["Location"] == second["Location"]
    assert send(visitor, old, '{"a": 2}').status_code == 409
    assert Job.objects.count() == 2
    assert AuditEvent.objects.filter(action="job.followed").count() == 1


@pytest.mark.parametrize("status", [422, 409, 429])
def test_a_form_that_is_shown_again_has_the_key_that_was_sent(tenant: Tenant, status: int) -> None:
    old, visitor = ended_job(tenant, unique={"key": "order-7"}), editor(tenant)
    if status == 409:
        make_job(tenant, unique={"key": "order-7"})
    if status == 429:
        TenantRow.objects.filter(id=tenant.id).update(quotas={"open_jobs": 0})
    answer = send(visitor, old, "{" if status == 422 else "1", key="the-sent-one")
    assert (answer.status_code, key_of(answer)) == (status, "the-sent-one")


def test_what_was_typed_anew_after_its_job_was_made_is_another_request(tenant: Tenant) -> None:
    old, visitor = ended_job(tenant), editor(tenant)
    send(visitor, old, "1", key="a")
    told = send(visitor, old, "2", key="a")
    assert told.status_code == 409
    assert key_of(told) != "a"
    assert send(visitor, old, "2", key=key_of(told)).status_code == 302
    assert Job.objects.count() == 3


def test_a_unique_key_that_another_job_has_by_now_is_told_with_that_job(tenant: Tenant) -> None:
    old = ended_job(tenant, unique={"key": "order-7"})
    holder, visitor = make_job(tenant, unique={"key": "order-7"}), editor(tenant)
    answer = send(visitor, old, "1")
    assert answer.status_code == 409
    assert f"Job {holder['id']} holds this unique key." in text_of(answer)
    assert f"/console/jobs/{holder['id']}" in answer.content.decode()
    cancel_job(tenant.id, job_uuid(holder))
    made = job_of(send(visitor, old, "1")["Location"])
    assert f"Job {made} holds this unique key." in text_of(send(visitor, old, "2", key="b"))


def test_the_new_job_has_the_attempts_of_the_old_one_and_no_more_than_a_submission_may_ask_for(tenant: Tenant) -> None:
    visitor = editor(tenant)
    for had, gets in ((7, 7), (100, 100), (103, 100)):
        old = ended_job(tenant)
        # As after many retries, each of which raises them.
        Job.objects.filter(id=job_uuid(old)).update(max_attempts=had)
        send(visitor, old, "1")
        assert Job.objects.get(retry_of=job_uuid(old)).max_attempts == gets


def test_a_deadline_to_start_goes_over_unless_a_retry_has_lifted_it(tenant: Tenant) -> None:
    visitor = editor(tenant)
    for is_retried in (False, True):
        old = ended_job(tenant, start_deadline_seconds=60)
        if is_retried:
            retry_job(tenant.id, job_uuid(old))
            cancel_job(tenant.id, job_uuid(old))
        send(visitor, old, "1")
        made = Job.objects.get(retry_of=job_uuid(old))
        assert (made.start_deadline_at is None) == is_retried


def test_an_erased_origin_is_named_and_not_linked(tenant: Tenant) -> None:
    old, visitor = ended_job(tenant), editor(tenant)
    page = visitor.follow(send(visitor, old, "1"))
    erase_job(tenant.id, job_uuid(old))
    shown = visitor.get(page.request["PATH_INFO"])
    assert f"{old['id']} which is gone" in text_of(shown)
    assert f'href="/console/jobs/{old["id"]}"' not in shown.content.decode()
