"""An endpoint that says "not now" holds back the jobs of its type, and they come back in order and gently."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs import claims, throttles
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.job_types import delete_job_type
from jobservice.jobs.limits import Sweep
from jobservice.jobs.models import EndpointThrottle, Job, Lane, LiveJob
from jobservice.jobs.throttles import FIRST_BATCH, MOST_SECONDS, forget_throttles
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, live, outcome_of, record, start
from tests.jobs.limiting import limit_queue
from tests.jobs.throttling import let_go, not_now, put_endpoint, throttle, throttled_until, wait_out
from tests.roles import as_role

pytestmark = pytest.mark.django_db
# From one batch to the next, in place of a second: a busy machine lets that go by between two lines.
STEP_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "STEP_SECONDS", STEP_SECONDS)


def claimed(limit: int = 500) -> list[Any]:
    """What one round hands out, by age: it comes in no order."""
    return sorted(ref.id for ref in claim(limit, pool="egress"))


def make_jobs(tenant: Tenant, count: int = 3, **fields: Any) -> list[Any]:
    return [job_uuid(make_job(tenant, type="work.do", **fields)) for _ in range(count)]


@pytest.fixture
def endpoint(tenant: Tenant) -> Tenant:
    """A tenant with an http type, `work.do`."""
    put_endpoint(tenant)
    return tenant


def test_only_the_jobs_of_the_type_wait_and_none_uses_up_an_attempt(endpoint: Tenant, other_tenant: Tenant) -> None:
    put_endpoint(endpoint, "other.do")
    put_endpoint(other_tenant)
    throttle(endpoint)
    waiting = make_jobs(endpoint, 30)
    going_on = {
        job_uuid(make_job(endpoint, type="other.do")),
        job_uuid(make_job(endpoint, type="http.request", payload={"method": "GET", "url": "https://example.com/"})),
        job_uuid(make_job(other_tenant, type="work.do")),
    }
    # One round is enough, however many of the throttled come first.
    assert set(claimed(5)) == going_on
    assert claimed() == []
    rows = LiveJob.objects.filter(job_id__in=waiting)
    assert {(row.state, row.attempt, row.epoch, row.is_throttled) for row in rows} == {("available", 0, 0, True)}


@pytest.mark.deep
def test_a_long_backlog_of_the_type_is_put_aside_in_a_few_looks(
    endpoint: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_endpoint(endpoint, "other.do")
    throttle(endpoint)
    make_jobs(endpoint, 160)
    other = job_uuid(make_job(endpoint, type="other.do"))
    monkeypatch.setattr(claims, "MOST_LOOKS", 4)
    assert claimed(1) == [other]


def test_what_waited_comes_back_by_rank_and_gently(endpoint: Tenant) -> None:
    throttle(endpoint)
    jobs = make_jobs(endpoint, 5 * FIRST_BATCH, priority=5)
    urgent = job_uuid(make_job(endpoint, type="work.do", queue="elsewhere"))
    assert claimed() == []
    let_go()
    assert claimed() == [], "not before its time"
    wait_out(60)
    order = [urgent, *jobs]
    for batch in (FIRST_BATCH, 2 * FIRST_BATCH, 2 * FIRST_BATCH + 1):
        let_go()
        expected, order = order[:batch], order[batch:]
        # Two queues take turns; what comes of each is in order.
        assert sorted(claimed(), key=[urgent, *jobs].index) == expected
        let_go()
        assert claimed() == [], "once in a step, however many dispatchers look"
        wait_out(STEP_SECONDS)
    assert order == []
    assert not LiveJob.objects.filter(is_parked=True).exists()


def test_who_says_not_now_again_begins_with_a_few_again(endpoint: Tenant) -> None:
    throttle(endpoint)
    make_jobs(endpoint, 4 * FIRST_BATCH)
    claimed()
    wait_out(60)
    let_go()
    [first, *others] = start(claim(500, pool="egress"))
    wait_out(STEP_SECONDS)
    let_go()
    record(not_now(first), *[outcome_of(job) for job in others])
    assert claimed() == [], "what was let go and not taken is held back again"
    wait_out(60)
    let_go()
    assert len(claimed()) == FIRST_BATCH


def test_a_throttle_is_over_when_its_time_is_also_for_those_that_nobody_parked(endpoint: Tenant) -> None:
    throttle(endpoint)
    wait_out(60)
    jobs = make_jobs(endpoint)
    assert claimed() == jobs
    assert throttled_until(endpoint) is None


def test_the_longest_pause_counts_up_to_fifteen_minutes(endpoint: Tenant) -> None:
    make_jobs(endpoint, 5)
    started = start(claim(pool="egress"))
    record(*[not_now(job, seconds) for job, seconds in zip(started, (60, 300, 120), strict=False)])
    seconds = (throttled_until(endpoint) - datetime.now(UTC)).total_seconds()
    assert 290 < seconds <= 300
    record(not_now(started[3], 20_000))
    record(not_now(started[4], 30))
    seconds = (throttled_until(endpoint) - datetime.now(UTC)).total_seconds()
    assert MOST_SECONDS - 10 < seconds <= MOST_SECONDS


def test_the_job_itself_waits_as_long_as_it_was_told(endpoint: Tenant) -> None:
    job = throttle(endpoint, seconds=7200)
    assert live(job).state == "retryable"
    assert (live(job).due_at - datetime.now(UTC)).total_seconds() > 7100


@pytest.mark.parametrize("verdict", ["completed", "failed"])
def test_a_run_without_a_word_of_it_holds_nothing_back(endpoint: Tenant, verdict: Any) -> None:
    make_jobs(endpoint, 2)
    first = start(claim(1, pool="egress"))[0]
    fields = {"error_code": "http-429", "retry_after_seconds": 60.0} if verdict == "failed" else {}
    record(outcome_of(first, verdict, **fields))
    assert len(claimed()) == 1


def test_a_put_lifts_the_throttle_and_what_the_old_endpoint_still_says_binds_nobody(endpoint: Tenant) -> None:
    make_jobs(endpoint, 2)
    first, late = start(claim(pool="egress"))
    record(not_now(first))
    waiting = make_jobs(endpoint)
    assert claimed() == []
    assert put_endpoint(endpoint) == 2
    assert throttled_until(endpoint) is None
    new = make_jobs(endpoint)
    assert claimed() == new
    let_go()
    assert claimed() == waiting
    record(not_now(late))
    assert throttled_until(endpoint) is None
    assert claimed() == []
    last = make_jobs(endpoint)
    assert claimed() == last


def test_what_the_new_endpoint_says_counts_alone(endpoint: Tenant) -> None:
    make_jobs(endpoint, 3)
    first, second, late = start(claim(pool="egress"))
    record(not_now(first, 600))
    put_endpoint(endpoint)
    record(not_now(second, 30, version=2))
    record(not_now(late, 900, version=1))
    assert 20 < (throttled_until(endpoint) - datetime.now(UTC)).total_seconds() <= 30


def test_after_a_put_they_go_on_as_gently(endpoint: Tenant) -> None:
    throttle(endpoint)
    make_jobs(endpoint, 4 * FIRST_BATCH)
    claimed()
    put_endpoint(endpoint)
    let_go()
    let_go()
    assert len(claimed()) == FIRST_BATCH
    wait_out(STEP_SECONDS)
    let_go()
    assert len(claimed()) == 2 * FIRST_BATCH


def test_a_type_that_is_made_anew_is_another(endpoint: Tenant) -> None:
    put_endpoint(endpoint)
    job = throttle(endpoint, version=2)
    with as_role("web"):
        cancel_job(endpoint.id, job_uuid(job))
        delete_job_type(endpoint.id, "work.do")
    put_endpoint(endpoint)
    throttle(endpoint)
    assert throttled_until(endpoint) is not None


def test_a_job_that_waits_can_be_cancelled_and_erased(endpoint: Tenant) -> None:
    throttle(endpoint)
    [first, second] = make_jobs(endpoint, 2)
    assert claimed() == []
    with as_role("web"):
        cancel_job(endpoint.id, first)
        erase_job(endpoint.id, first)
    assert not Job.objects.filter(id=first).exists()
    wait_out(60)
    let_go()
    assert claimed() == [second]


def test_a_job_that_waits_can_be_moved_to_later_and_overtake(endpoint: Tenant) -> None:
    throttle(endpoint)
    [first, second, third] = make_jobs(endpoint, 3, priority=5)
    assert claimed() == []
    with as_role("web"):
        change_job(endpoint.id, first, JobChange(delay_seconds=3600))
        change_job(endpoint.id, third, JobChange(priority=0))
    row = LiveJob.objects.get(job_id=first)
    assert (row.state, row.is_parked, row.is_throttled) == ("scheduled", False, False)
    assert LiveJob.objects.get(job_id=third).is_throttled
    wait_out(60)
    let_go()
    assert claimed(1) + claimed(1) == [third, second]


def test_neither_a_queues_change_nor_a_free_key_lets_a_throttled_job_go_on(endpoint: Tenant) -> None:
    put_endpoint(endpoint, "other.do")
    throttle(endpoint, seconds=120)
    jobs = make_jobs(endpoint, 1, concurrency_key="k")
    other = job_uuid(make_job(endpoint, type="other.do", concurrency_key="k"))
    started = start(claim(pool="egress"))
    assert [job.job_id for job in started] == [other]
    limit_queue(endpoint, paused_at=Now())
    limit_queue(endpoint, paused_at=None, key_concurrency=2)
    assert record(*[outcome_of(job) for job in started]).recorded == 1
    with as_role("dispatcher"):
        assert Sweep().reopen() == 0
    assert LiveJob.objects.get(job_id=jobs[0]).is_throttled
    limit_queue(endpoint, paused_at=Now())
    wait_out(120)
    let_go()
    assert claimed() == []
    limit_queue(endpoint, paused_at=None)
    assert claimed() == jobs


def test_a_job_with_a_busy_key_and_a_throttled_endpoint_waits_for_both(endpoint: Tenant) -> None:
    throttle(endpoint)
    jobs = make_jobs(endpoint, 2, concurrency_key="k")
    assert claimed() == []
    wait_out(60)
    let_go()
    refs = claim(pool="egress")
    assert [ref.id for ref in refs] == jobs[:1]
    row = LiveJob.objects.get(job_id=jobs[1])
    assert (row.is_parked, row.is_throttled) == (True, False)
    record(*[outcome_of(job) for job in start(refs)])
    assert claimed() == jobs[1:]


def test_a_lane_that_slept_meanwhile_is_woken(endpoint: Tenant) -> None:
    throttle(endpoint)
    jobs = make_jobs(endpoint)
    claimed()
    Lane.objects.update(is_active=False)
    wait_out(60)
    let_go()
    assert claimed() == jobs


def test_a_job_that_was_parked_when_the_throttle_had_gone_goes_on(endpoint: Tenant) -> None:
    """By a claim that had seen it and was still under way."""
    throttle(endpoint)
    jobs = make_jobs(endpoint)
    assert claimed() == []
    EndpointThrottle.objects.all().delete()
    let_go()
    assert claimed() == jobs


def test_a_throttle_is_forgotten_when_it_is_over_and_nobody_waits_for_it(endpoint: Tenant) -> None:
    throttle(endpoint)
    make_jobs(endpoint)
    claimed()

    def forgotten() -> int:
        with as_role("dispatcher"):
            return forget_throttles()

    wait_out(59)
    assert forgotten() == 0
    wait_out(100)
    assert forgotten() == 0, "its jobs are to come back one batch after the other"
    let_go()
    wait_out(STEP_SECONDS + 45)
    assert forgotten() == 0, "nor while a claim that saw it may be under way"
    wait_out(16)
    assert forgotten() == 1
    assert not EndpointThrottle.objects.exists()
