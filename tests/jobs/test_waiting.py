"""Why a job waits: each reason in the situation it names, and as the dispatcher would have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs.claims import stage_due_jobs
from jobservice.jobs.fleet import beat_worker, register_worker, survey
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.models import LiveJob, Worker
from jobservice.jobs.outcomes import CRASHES_TO_SUSPEND
from jobservice.jobs.selectors import find_job, list_jobs
from jobservice.jobs.suspension import resume_tenant, suspend_tenant
from jobservice.jobs.waiting import MOST_AHEAD, REASONS, explain_wait
from tests.factories import make_job
from tests.jobs.dispatching import claim, job_uuid, live, outcome_of, record, start
from tests.jobs.limiting import limit_queue, limit_tenant
from tests.jobs.throttling import let_go, put_endpoint, throttle, throttled_until, wait_out
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def waiting(tenant: Any, job: dict[str, Any]) -> Any:
    with as_role("web"):
        found = find_job(tenant.id, job_uuid(job))
    assert found is not None
    return found.job["waiting"]


def make_worker(pool: str = "handlers", *, slots: int = 4) -> Any:
    with as_role("worker"):
        worker_id = register_worker(pool=pool, slots=slots)
    # Seen for longer than the machine may stand still.
    Worker.objects.filter(id=worker_id).update(seen_at=Now() + timedelta(minutes=1))
    return worker_id


def can_be_dispatched(pool: str = "handlers") -> bool:
    """Whether the dispatcher would hand out a job of this pool now."""
    with as_role("dispatcher"):
        stage_due_jobs()
        has_credits = survey().capacities[pool].credits > 0
    return has_credits and bool(claim(pool=pool))


def test_a_job_for_later_is_scheduled(tenant: Any) -> None:
    make_worker()
    job = make_job(tenant, delay_seconds=3600)
    assert waiting(tenant, job) == {"reason": "scheduled", "detail": f"It is due at {job['run_at']}."}
    assert not can_be_dispatched()


def test_a_failed_job_waits_for_its_next_attempt(tenant: Any) -> None:
    make_worker()
    job = make_job(tenant, max_attempts=5)
    [started] = start(claim())
    record(outcome_of(started, "failed", error_code="boom"))
    found = waiting(tenant, job)
    due = live(job).due_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found == {"reason": "backoff", "detail": f"Attempt 1 failed; the next one is due at {due}."}
    assert not can_be_dispatched()


@pytest.mark.parametrize("state", ["scheduled", "retryable"])
def test_a_job_whose_time_has_come_waits_for_its_turn_though_nobody_has_looked(tenant: Any, state: str) -> None:
    make_worker()
    job = make_job(tenant, delay_seconds=3600 if state == "scheduled" else 0)
    if state == "retryable":
        record(outcome_of(start(claim())[0], "failed", error_code="no"))
    LiveJob.objects.filter(job_id=job_uuid(job), state=state).update(due_at=Now() - timedelta(seconds=1))
    assert waiting(tenant, job)["reason"] == "turn"
    assert can_be_dispatched()


def test_a_suspended_tenants_job_waits_until_it_is_resumed(tenant: Any) -> None:
    make_worker()
    job = make_job(tenant)
    suspend_tenant(tenant.id)
    assert waiting(tenant, job)["reason"] == "tenant-suspended"
    assert not can_be_dispatched()
    resume_tenant(tenant.id)
    assert waiting(tenant, job)["reason"] == "turn"
    assert can_be_dispatched()


def test_without_a_worker_of_its_pool_a_job_waits_for_one(tenant: Any) -> None:
    make_worker("egress")
    job = make_job(tenant)
    detail = "No worker of the pool handlers was seen in the last 10 s."
    assert waiting(tenant, job) == {"reason": "no-worker", "detail": detail}
    assert not can_be_dispatched()
    make_worker()
    assert waiting(tenant, job)["reason"] == "turn"
    assert can_be_dispatched()


@pytest.mark.parametrize("fate", ["silent", "draining", "full"])
def test_a_worker_that_takes_nothing_is_none(tenant: Any, fate: str) -> None:
    worker_id = make_worker(slots=0 if fate == "full" else 4)
    if fate == "silent":
        Worker.objects.filter(id=worker_id).update(seen_at=Now() - timedelta(seconds=11))
    if fate == "draining":
        with as_role("worker"):
            assert beat_worker(worker_id, slots=4, jobs_per_slot=1, run_times={}, is_draining=True)
    assert waiting(tenant, make_job(tenant))["reason"] == "no-worker"
    assert not can_be_dispatched()


def test_a_job_in_line_says_how_long_the_line_is(tenant: Any, other_tenant: Any) -> None:
    make_worker(slots=4)
    make_worker(slots=3)
    jobs = [make_job(tenant) for _ in range(3)]
    urgent = make_job(tenant, priority=9)
    make_job(tenant, queue="elsewhere")
    make_job(other_tenant)
    details = [waiting(tenant, job)["detail"] for job in [*jobs, urgent]]
    fleet = "workers for it: 2, with 7 slots."
    assert details == [f"Jobs before it in its queue: {ahead}; {fleet}" for ahead in range(4)]
    # As they are claimed, too; what one claim takes it answers in no order.
    claimed = [ref.id for _ in range(6) for ref in claim(1)]
    assert sorted([*jobs, urgent], key=lambda job: claimed.index(job_uuid(job))) == [*jobs, urgent]


def test_a_paused_queues_job_waits_until_it_is_resumed(tenant: Any) -> None:
    make_worker()
    job = make_job(tenant)
    limit_queue(tenant, paused_at=datetime(2026, 1, 2, tzinfo=UTC))
    detail = "The queue default has been paused since 2026-01-02T00:00:00.000Z."
    assert waiting(tenant, job) == {"reason": "queue-paused", "detail": detail}
    assert not can_be_dispatched()
    limit_queue(tenant, paused_at=None)
    assert waiting(tenant, job)["reason"] == "turn"
    assert can_be_dispatched()


@pytest.mark.parametrize("reason", ["tenant-concurrency", "queue-concurrency", "concurrency-key"])
def test_a_job_without_a_slot_says_whose_limit_it_is_and_who_holds_it(tenant: Any, reason: str) -> None:
    make_worker()
    jobs = [make_job(tenant, concurrency_key="k") for _ in range(4)]
    limit_queue(tenant, key_concurrency=2)
    match reason:
        case "tenant-concurrency":
            limit_tenant(tenant, quotas={"running": 2})
        case "queue-concurrency":
            limit_queue(tenant, concurrency=2)
    refs = claim()
    assert len(refs) == 2
    found = waiting(tenant, jobs[2])
    assert (found["reason"], found["limit"]) == (reason, 2)
    assert " 2" in found["detail"]
    holders = [] if reason == "tenant-concurrency" else [jobs[0]["id"], jobs[1]["id"]]
    assert found["held_by"] == holders
    assert not can_be_dispatched()
    record(outcome_of(start(refs[:1])[0]))
    # Neither does the reason last longer than the dispatcher is held back by it.
    assert waiting(tenant, jobs[2])["reason"] == "turn"
    assert can_be_dispatched()


def test_the_narrowest_reason_is_told_last(tenant: Any) -> None:
    make_worker()
    limit_queue(tenant)
    jobs = [make_job(tenant, concurrency_key="k") for _ in range(2)]
    limit_queue(tenant, concurrency=1, rate={"limit": 1, "period_seconds": 3600, "burst": 1})
    limit_tenant(tenant, quotas={"running": 1})
    claim()
    told = [waiting(tenant, jobs[1])["reason"]]
    limit_tenant(tenant, quotas={})
    told.append(waiting(tenant, jobs[1])["reason"])
    limit_queue(tenant, concurrency=None)
    told.append(waiting(tenant, jobs[1])["reason"])
    limit_queue(tenant, rate=None)
    told.append(waiting(tenant, jobs[1])["reason"])
    limit_queue(tenant, key_concurrency=2)
    told.append(waiting(tenant, jobs[1])["reason"])
    assert told == ["tenant-concurrency", "queue-concurrency", "queue-rate", "concurrency-key", "turn"]


def test_a_job_that_the_rate_holds_back_says_when_it_may_start(tenant: Any) -> None:
    make_worker()
    jobs = [make_job(tenant) for _ in range(3)]
    limit_queue(tenant, rate={"limit": 6, "period_seconds": 3600, "burst": 2})
    assert waiting(tenant, jobs[0])["reason"] == "turn"
    assert len(claim()) == 2
    found = waiting(tenant, jobs[2])
    assert (found["reason"], found["limit"]) == ("queue-rate", 6)
    before, _, at = found["detail"].partition("; its next start is at ")
    assert before == "The queue default starts 6 in 3600 s"
    seconds = (datetime.fromisoformat(at[:-1]) - datetime.now(UTC)).total_seconds()
    assert 570 < seconds <= 600
    assert not can_be_dispatched()


def test_a_job_whose_endpoint_wants_a_pause_says_until_when(tenant: Any) -> None:
    make_worker("egress")
    put_endpoint(tenant)
    throttle(tenant)
    jobs = [make_job(tenant, type="work.do", concurrency_key="k") for _ in range(2)]
    until = throttled_until(tenant).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    detail = f"The endpoint of work.do asked for a pause (429 or 503, Retry-After): nothing starts until {until}."
    for _ in range(2):
        # Before a claim has put it aside, and after.
        assert [waiting(tenant, job) for job in jobs] == [{"reason": "endpoint-throttled", "detail": detail}] * 2
        assert not can_be_dispatched("egress")
    wait_out(60)
    detail = "The pause that the endpoint of work.do asked for is over: what waited for it starts bit by bit."
    assert waiting(tenant, jobs[0]) == {"reason": "endpoint-throttled", "detail": detail}
    assert not can_be_dispatched("egress")
    let_go()
    assert waiting(tenant, jobs[0])["reason"] == "turn"
    assert can_be_dispatched("egress")
    assert waiting(tenant, jobs[1])["reason"] == "concurrency-key"


def test_after_a_put_of_its_type_a_job_waits_for_its_turn(tenant: Any) -> None:
    make_worker("egress")
    put_endpoint(tenant)
    throttle(tenant)
    job = make_job(tenant, type="work.do")
    put_endpoint(tenant)
    assert waiting(tenant, job)["reason"] == "turn"
    assert can_be_dispatched("egress")


def test_a_job_that_is_handed_out_runs_is_held_or_is_over_waits_for_nothing(tenant: Any) -> None:
    make_worker()
    job = make_job(tenant)
    refs = claim()
    assert waiting(tenant, job) is None
    [started] = start(refs)
    assert waiting(tenant, job) is None
    record(outcome_of(started))
    assert waiting(tenant, job) is None
    held = make_job(tenant)
    for _ in range(CRASHES_TO_SUSPEND):
        [started] = start(claim())
        record(outcome_of(started, "crashed", error_code="worker-lost"))
    assert live(held).state == "suspended"
    assert waiting(tenant, held) is None


def test_a_list_does_not_say_why(tenant: Any) -> None:
    make_job(tenant)
    [job] = list_jobs(tenant.id, filters=JobFilters(), limit=10).data
    assert job["waiting"] is None


def test_the_line_is_counted_to_an_end() -> None:
    now = datetime.now(UTC)
    facts = {"state": "available", "due_at": now, "read_at": now, "attempt": 0, "pool": "handlers"}
    facts |= {"is_tenant_active": True, "workers": 1, "slots": 1, "ahead": MOST_AHEAD, "paused_at": None}
    facts |= {"tenant_limit": None, "queue_limit": None, "rate": None, "has_key": False}
    facts |= {"throttled_until": None, "is_throttled": False}
    wait: Any = explain_wait(SimpleNamespace(**facts))
    assert wait["reason"] in REASONS
    assert wait["detail"] == "Jobs before it in its queue: 1000 or more; workers for it: 1, with 1 slots."
