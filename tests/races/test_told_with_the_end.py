"""A job's end and the event that tells it are one: when one of them cannot be written, neither is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobservice.jobs import ending, settle
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.models import Attempt, LiveJob
from jobservice.jobs.rescue import reap_leases
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.races.acting import state_after, told
from tests.roles import as_role


class Untold(Exception):
    """The event cannot be stored."""


@pytest.fixture
def nothing_is_told(racing_tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(events: list[Any]) -> None:
        if events:
            raise Untold

    for module in (ending, settle):
        monkeypatch.setattr(module, "insert_events", refuse)


def _run(tenant: Tenant, **fields: Any) -> tuple[dict[str, Any], Any]:
    job = make_job(tenant, **fields)
    (started,) = start(claim())
    return job, started


def _complete(tenant: Tenant) -> tuple[dict[str, Any], Callable[[], Any]]:
    job, started = _run(tenant)
    return job, lambda: record(outcome_of(started))


def _discard(tenant: Tenant) -> tuple[dict[str, Any], Callable[[], Any]]:
    job, started = _run(tenant)
    return job, lambda: record(outcome_of(started, "failed", error_code="no", is_permanent=True))


def _cancel(tenant: Tenant) -> tuple[dict[str, Any], Callable[[], Any]]:
    job = make_job(tenant)

    def act() -> None:
        with as_role("web"):
            cancel_job(tenant.id, job_uuid(job))

    return job, act


def _expire(tenant: Tenant) -> tuple[dict[str, Any], Callable[[], Any]]:
    job = make_job(tenant, start_deadline_seconds=60)
    LiveJob.objects.update(start_deadline_at="2020-01-01T00:00:00Z")

    def act() -> None:
        with as_role("dispatcher"):
            expire_jobs()

    return job, act


def _hold(tenant: Tenant) -> tuple[dict[str, Any], Callable[[], Any]]:
    """The third crash, which the timeline tells."""
    job, _ = _run(tenant)
    LiveJob.objects.update(attempt=3, crash_count=2)
    end_lease(job)

    def act() -> None:
        with as_role("dispatcher"):
            reap_leases()

    return job, act


@pytest.mark.usefixtures("nothing_is_told")
@pytest.mark.parametrize("prepare", [_complete, _discard, _cancel, _expire, _hold], ids=lambda verb: verb.__name__)
def test_what_cannot_be_told_has_not_happened(racing_tenant: Tenant, prepare: Any) -> None:
    job, act = prepare(racing_tenant)
    before = state_after(job_uuid(job))
    with pytest.raises(Untold):
        act()
    assert state_after(job_uuid(job)) == before
    assert told(job_uuid(job)) == []
    assert not Attempt.objects.filter(job_id=job_uuid(job)).exists()
