"""Beside a job: how others of its type went, and who did what to it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobservice.jobs.change import JobChange, change_job
from tenants.acting import API_KEY, Actor, acting_as
from tenants.models import Member
from tests.console.visiting import make_person, text_of
from tests.factories import make_job
from tests.jobs.dispatching import job_uuid
from tests.jobs.test_selectors import end

pytestmark = pytest.mark.django_db


def shown(answer: Any) -> list[str]:
    return re.findall(r'<tr id="beside-(job_[0-9a-z]+)"', answer.content.decode())


def test_the_latest_that_are_over_of_the_same_type_stand_beside_a_job(
    tenant: Any, other_tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenants.console.job_beside.MOST_OF_TYPE", 2)
    ended = [make_job(tenant) for _ in range(3)]
    for job, state in zip(ended, ("completed", "discarded", "completed"), strict=True):
        end(job, state)
    end(make_job(tenant, type="sleep", payload={"seconds": 1}))
    end(make_job(other_tenant))
    waiting = make_job(tenant)
    visitor = make_person(tenant, "viewer")
    for path in ("", "/beside"):
        answer = visitor.get(f"/console/jobs/{waiting['id']}{path}")
        assert shown(answer) == [ended[2]["id"], ended[1]["id"]]
        assert "Discarded" in text_of(answer)
    # Not itself.
    assert shown(visitor.get(f"/console/jobs/{ended[2]['id']}")) == [ended[1]["id"], ended[0]["id"]]


def test_without_others_it_says_so(tenant: Any) -> None:
    job = make_job(tenant)
    words = text_of(make_person(tenant).get(f"/console/jobs/{job['id']}"))
    assert "No other job of this type is over." in words
    assert "Nobody has changed it or opened what is sealed of it." in words


def test_who_did_what_to_a_job_is_told_to_who_may_read_the_log(tenant: Any, other_tenant: Any) -> None:
    job = make_job(tenant, delay_seconds=60)
    path = f"/console/jobs/{job['id']}"
    owner = make_person(tenant, may_read_payloads=True)
    owner.post(f"{path}/reveal")
    owner.post(f"{path}/run")
    owner.post(f"{path}/cancel")
    owner.post(f"{path}/retry")
    make_person(other_tenant).post(f"/console/jobs/{make_job(other_tenant)['id']}/cancel")
    email = Member.objects.get(id=owner.member_id).email
    for part in ("", "/beside"):
        words = text_of(make_person(tenant, "admin").get(path + part))
        told = words[words.index("Who did what to it") :]
        assert told.index("job.retried") < told.index("job.cancelled") < told.index("job.parts-read")
        assert f"job.parts-read metadata, payload, result {email}" in told
        assert told.count(email) == 4
    for role in ("viewer", "operator"):
        assert "Who did what" not in text_of(make_person(tenant, role).get(path))
        assert "Who did what" not in text_of(make_person(tenant, role).get(f"{path}/beside"))


def test_a_long_list_of_acts_is_cut_and_leads_to_the_log(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.job_beside.MOST_ACTS", 2)
    job = make_job(tenant, delay_seconds=60)
    for priority in (1, 2, 3):
        with acting_as(Actor(API_KEY, "key_<b>x</b>")):
            change_job(tenant.id, job_uuid(job), JobChange(priority=priority))
    page = make_person(tenant).get(f"/console/jobs/{job['id']}").content.decode()
    assert page.count('id="aud_') == 2
    assert "The latest are shown." in page
    assert f"/console/audit?object={job['id']}" in page
    assert "<b>x</b>" not in page


@pytest.mark.parametrize("job_id", ["job_01h455vb4pex5vsknk084sn02q", "x"])
def test_of_no_job_there_is_nothing_beside(tenant: Any, other_tenant: Any, job_id: str) -> None:
    visitor = make_person(tenant)
    assert visitor.get(f"/console/jobs/{job_id}/beside").status_code == 404
    assert visitor.get(f"/console/jobs/{make_job(other_tenant)['id']}/beside").status_code == 404
