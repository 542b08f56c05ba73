"""Reads of jobs, as the role that makes them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from jobservice import ids
from jobservice.errors import Unreadable
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.selectors import find_job, has_job, list_jobs
from tenants.models import Blob
from tests.factories import make_job
from tests.jobs.dispatching import claim, start

pytestmark = pytest.mark.django_db


def job_uuid(job: dict[str, Any]) -> UUID:
    job_id = ids.parse_id(ids.JOB, job["id"])
    assert job_id is not None
    return job_id


def end(job: dict[str, Any], state: str = "completed") -> None:
    now = timezone.now()
    LiveJob.objects.filter(job_id=job_uuid(job)).delete()
    Job.objects.filter(id=job_uuid(job)).update(
        final_state=state,
        finished_at=now,
        last_started_at=now,
        attempt=2,
        epoch=2,
        error_code=None if state == "completed" else "failed",
        end_event_id=ids.new_id(),
    )


def test_a_live_job_is_read_from_its_live_row(tenant: Any, role: Any) -> None:
    job = make_job(tenant)
    start(claim())
    LiveJob.objects.filter(job_id=job_uuid(job)).update(priority=5, attempt=3, crash_count=1, cancel_requested=True)
    with role("web"):
        found = find_job(tenant.id, job_uuid(job))
    assert found is not None
    shown = found.job
    assert (shown["state"], shown["priority"], shown["attempt"], shown["crash_count"]) == ("executing", 5, 3, 1)
    assert shown["cancel_requested"] is True


def test_an_ended_job_is_read_from_its_wide_row(tenant: Any, role: Any) -> None:
    job = make_job(tenant)
    end(job)
    with role("web"):
        found = find_job(tenant.id, job_uuid(job))
    assert found is not None
    assert (found.job["state"], found.job["attempt"], found.job["duration_ms"]) == ("completed", 2, 0)


def test_row_level_security_is_the_second_wall(tenant: Any, other_tenant: Any, role: Any) -> None:
    job = make_job(other_tenant)
    with role("web"):
        assert find_job(tenant.id, job_uuid(job)) is None
        assert not has_job(tenant.id, job_uuid(job))
        assert list_jobs(tenant.id, filters=JobFilters(), limit=9).data == []


def test_the_filter_by_tenant_holds_without_row_level_security(tenant: Any, other_tenant: Any) -> None:
    job = make_job(other_tenant, tags={"a": "1"})
    for filters in (JobFilters(), JobFilters(state="available"), JobFilters(tags=(("a", "1"),))):
        assert list_jobs(tenant.id, filters=filters, limit=9).data == []
    assert find_job(tenant.id, job_uuid(job)) is None


def test_states_are_found_on_both_sides(tenant: Any, role: Any) -> None:
    waiting, done, failed = make_job(tenant), make_job(tenant), make_job(tenant)
    end(done)
    end(failed, "discarded")
    with role("web"):
        for state, job in (("available", waiting), ("completed", done), ("discarded", failed)):
            page = list_jobs(tenant.id, filters=JobFilters(state=state), limit=9)
            assert [found["id"] for found in page.data] == [job["id"]]
        assert len(list_jobs(tenant.id, filters=JobFilters(), limit=9).data) == 3


def test_a_payload_that_was_altered_is_not_shown(tenant: Any) -> None:
    job = make_job(tenant, payload="secret")
    blob = Blob.objects.get(id=Job.objects.get(id=job_uuid(job)).payload_id)
    sealed = bytearray(blob.sealed)
    sealed[-1] ^= 1
    Blob.objects.filter(id=blob.id).update(sealed=bytes(sealed))
    with pytest.raises(Unreadable):
        find_job(tenant.id, job_uuid(job), include=["payload"])
    assert find_job(tenant.id, job_uuid(job)) is not None
