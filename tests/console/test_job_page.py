"""The page of a job: its life, what may be done to it, and what of it stays hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.models import Job, LiveJob
from tenants.console.job_story import tell_phases, tell_steps
from tenants.models import AuditEvent
from tests.console.visiting import make_person, text_of
from tests.factories import make_job
from tests.jobs.dispatching import claim, start
from tests.jobs.test_selectors import end, job_uuid

pytestmark = pytest.mark.django_db

ACTS = ("retry", "cancel", "run", "erase", "reveal")


def test_a_waiting_job_says_why_it_waits(tenant: Any) -> None:
    job = make_job(tenant)
    words = text_of(make_person(tenant, "viewer").get(f"/console/jobs/{job['id']}"))
    assert "Waiting because no-worker" in words
    assert "to come" in words


def test_a_job_that_is_over_tells_its_life(tenant: Any) -> None:
    job = make_job(tenant)
    start(claim())
    end(job)
    words = text_of(make_person(tenant).get(f"/console/jobs/{job['id']}"))
    assert words.index("Accepted") < words.index("Attempts")
    assert "Completed" in words
    assert "to come" not in words


def test_of_a_long_life_the_latest_is_told(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.job.MOST_EVENTS", 1)
    job = make_job(tenant)
    change_job(tenant.id, job_uuid(job), JobChange(priority=7))
    words = text_of(make_person(tenant).get(f"/console/jobs/{job['id']}"))
    assert "Changed" in words


def test_the_time_of_a_run_is_told_where_it_was_the_only_one() -> None:
    """A run that snoozed counts no attempt: the next one is the first again, and its start is not told."""
    due, started = "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:02.000Z"
    job: dict[str, object] = {
        "state": "completed",
        "queue": "mail",
        "created_at": due,
        "run_at": due,
        "available_at": due,
    }
    job |= {"attempt": 1, "started_at": started, "finished_at": "2026-01-31T12:01:10.000Z"}
    once = {**job, "dispatched_at": "2026-01-31T12:00:01.000Z"}
    again = {**job, "dispatched_at": "2026-01-31T12:01:00.000Z"}
    now = datetime.now(UTC)
    assert [(one.took, one.share) for one in tell_phases(once, now=now)] == [
        ("1.00 s", 1.43),
        ("1.00 s", 1.43),
        ("1 m 08 s", 97.14),
    ]
    assert tell_phases(again, now=now) == []
    for one, begun in ((once, started), (again, again["dispatched_at"])):
        steps = tell_steps({**one, "state": "executing", "finished_at": None}, [], [])
        assert [step.at for step in steps if step.icon == "loader"] == [begun]


@pytest.mark.parametrize("part", ["", "/live", "/json"])
def test_anothers_job_is_as_unknown(tenant: Any, other_tenant: Any, part: str) -> None:
    visitor = make_person(tenant)
    answers = [
        visitor.get(f"/console/jobs/{job_id}{part}")
        for job_id in (make_job(other_tenant)["id"], "job_01h455vb4pex5vsknk084sn02q", "x")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({text_of(answer) for answer in answers}) == 1


@pytest.mark.parametrize("act", ACTS)
def test_anothers_job_is_not_acted_on(tenant: Any, other_tenant: Any, act: str) -> None:
    visitor = make_person(tenant, may_read_payloads=True)
    foreign = make_job(other_tenant)
    answers = [
        visitor.post(f"/console/jobs/{job_id}/{act}") for job_id in (foreign["id"], "job_01h455vb4pex5vsknk084sn02q")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert LiveJob.objects.get().state == "available"


@pytest.mark.parametrize("act", ACTS)
def test_a_viewer_only_looks(tenant: Any, act: str) -> None:
    job = make_job(tenant)
    assert make_person(tenant, "viewer").post(f"/console/jobs/{job['id']}/{act}").status_code == 403


def test_a_job_is_cancelled_retried_and_erased(tenant: Any) -> None:
    job = make_job(tenant)
    visitor = make_person(tenant, "owner")
    path = f"/console/jobs/{job['id']}"
    assert "It is cancelled." in text_of(visitor.follow(visitor.post(f"{path}/cancel")))
    assert "It is available again." in text_of(visitor.follow(visitor.post(f"{path}/retry")))
    visitor.post(f"{path}/cancel")
    assert "erased" in text_of(visitor.follow(visitor.post(f"{path}/erase")))
    assert not Job.objects.exists()


def test_what_the_job_is_past_is_told_on_its_page(tenant: Any) -> None:
    job = make_job(tenant)
    visitor = make_person(tenant)
    shown = visitor.follow(visitor.post(f"/console/jobs/{job['id']}/retry"))
    assert "The job is available; one that ended, failed or is held can be retried." in text_of(shown)
    assert "can be retried" not in text_of(visitor.get(f"/console/jobs/{job['id']}"))


def test_a_job_of_later_runs_now(tenant: Any) -> None:
    job = make_job(tenant, delay_seconds=3600)
    visitor = make_person(tenant)
    assert "Run now" in text_of(visitor.get(f"/console/jobs/{job['id']}"))
    visitor.post(f"/console/jobs/{job['id']}/run")
    assert LiveJob.objects.get().state == "available"


def test_a_payload_is_shown_only_after_an_audited_reveal(tenant: Any) -> None:
    job = make_job(tenant, payload={"secret": "s3cr3t-value"})
    visitor = make_person(tenant, "viewer", may_read_payloads=True)
    path = f"/console/jobs/{job['id']}"
    for part in ("", "/live", "/json"):
        assert "s3cr3t-value" not in visitor.get(path + part).content.decode()
    assert visitor.get(f"{path}/reveal").status_code == 405
    assert "s3cr3t-value" in text_of(visitor.post(f"{path}/reveal"))
    event = AuditEvent.objects.get(action="job.parts-read")
    assert event.actor_type == "member"
    assert event.object_id == job["id"]


def test_an_owner_without_the_right_reveals_nothing(tenant: Any) -> None:
    job = make_job(tenant, payload={"secret": "s3cr3t-value"})
    visitor = make_person(tenant, "owner")
    assert "Reveal" not in text_of(visitor.get(f"/console/jobs/{job['id']}"))
    answer = visitor.post(f"/console/jobs/{job['id']}/reveal")
    assert answer.status_code == 403
    assert "s3cr3t-value" not in answer.content.decode()


def test_large_numbers_are_shown_as_they_were_sent(tenant: Any) -> None:
    job = make_job(tenant, payload={"order": 12345678901234567890})
    answer = make_person(tenant, may_read_payloads=True).post(f"/console/jobs/{job['id']}/reveal")
    assert "12345678901234567890" in text_of(answer)


def test_a_foreign_delivery_is_not_replayed(tenant: Any) -> None:
    job = make_job(tenant)
    path = f"/console/jobs/{job_path(job)}/deliveries/dlv_01h455vb4pex5vsknk084sn02q/replay"
    assert make_person(tenant).post(path).status_code == 404


def job_path(job: dict[str, Any]) -> str:
    assert job_uuid(job)
    return str(job["id"])
