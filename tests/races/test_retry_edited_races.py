"""The form of a retry with an edited payload sent twice at once, with real threads, connections and commits."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobservice.jobs import idempotency
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.idempotency import IdempotencyKeyInUse
from jobservice.jobs.models import Job
from tenants.console import job_edit
from tenants.models import AuditEvent
from tests.console.visiting import Visitor, make_person
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import job_uuid

Race = Callable[..., list[Any]]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that is sent again waits for as long as the machine stands still."""
    monkeypatch.setattr(job_edit, "WAIT_SECONDS", 40.0)


def ended_job(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant, payload={"a": 1})
    cancel_job(tenant.id, job_uuid(job))
    return job


def browsers(tenant: Tenant, count: int) -> list[Visitor]:
    """One person's, each with a client of its own: a double click sends the same form over two connections."""
    one = make_person(tenant, "operator", may_read_payloads=True)
    return [one, *(Visitor(one.session_key, one.member_id) for _ in range(count - 1))]


def clicking(visitor: Visitor, job: dict[str, Any], *, key: str) -> Callable[[], Any]:
    return lambda: visitor.post(f"/console/jobs/{job['id']}/retry-edited", payload='{"a": 2}', key=key)


def test_a_double_click_makes_one_job_and_both_answers_lead_to_it(racing_tenant: Tenant, race: Race) -> None:
    for number in range(5):
        job = ended_job(racing_tenant)
        clicks = [clicking(visitor, job, key=f"k{number}") for visitor in browsers(racing_tenant, 4)]
        answers = race("web", *clicks)
        assert {answer.status_code for answer in answers} == {302}
        assert len({answer["Location"] for answer in answers}) == 1
        assert Job.objects.filter(retry_of=job_uuid(job)).count() == 1
    assert AuditEvent.objects.filter(tenant_id=racing_tenant.id, action="job.followed").count() == 5


def test_a_click_while_the_first_is_stored_waits_for_its_job(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_storing, is_refused = threading.Event(), threading.Event()
    keep, claim = idempotency.keep_answer, idempotency.claim_key

    def keep_slowly(*arguments: Any) -> None:
        is_storing.set()
        assert is_refused.wait(30)
        keep(*arguments)

    def claim_and_tell(*arguments: Any, **named: Any) -> Any:
        try:
            return claim(*arguments, **named)
        except IdempotencyKeyInUse:
            is_refused.set()
            raise

    monkeypatch.setattr("jobservice.jobs.retry_edited.keep_answer", keep_slowly)
    monkeypatch.setattr("jobservice.jobs.retry_edited.claim_key", claim_and_tell)
    job = ended_job(racing_tenant)
    first, second = browsers(racing_tenant, 2)

    def click_second() -> Any:
        assert is_storing.wait(30)
        return clicking(second, job, key="k")()

    answers = race("web", clicking(first, job, key="k"), click_second)
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0]["Location"] == answers[1]["Location"]
    assert Job.objects.filter(retry_of=job_uuid(job)).count() == 1


def test_a_click_that_waited_in_vain_shows_its_own_key_and_the_next_one_finds_the_job(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_storing, is_answered = threading.Event(), threading.Event()
    keep = idempotency.keep_answer

    def keep_slowly(*arguments: Any) -> None:
        is_storing.set()
        assert is_answered.wait(30)
        keep(*arguments)

    monkeypatch.setattr("jobservice.jobs.retry_edited.keep_answer", keep_slowly)
    monkeypatch.setattr(job_edit, "WAIT_SECONDS", 0.3)
    job = ended_job(racing_tenant)
    first, second = browsers(racing_tenant, 2)

    def click_second() -> Any:
        assert is_storing.wait(30)
        answer = clicking(second, job, key="k")()
        is_answered.set()
        return answer

    made, refused = race("web", clicking(first, job, key="k"), click_second)
    assert (made.status_code, refused.status_code) == (302, 409)
    shown = re.findall(r'name="key" value="([^"]+)"', refused.content.decode())
    assert shown == ["k"]
    (third,) = race("web", clicking(second, job, key=shown[0]))
    assert third["Location"] == made["Location"]
    assert Job.objects.filter(retry_of=job_uuid(job)).count() == 1
