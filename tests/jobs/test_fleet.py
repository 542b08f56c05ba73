"""Workers that are alive, what they can take, and when the dispatcher must look again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs.fleet import Survey, beat_worker, register_worker, survey
from jobservice.jobs.handover import Handover, hand_over_runs
from jobservice.jobs.models import LiveJob, Worker
from jobservice.webhooks.delivery_claims import stage_due_deliveries
from jobservice.webhooks.models import LiveDelivery
from tests.factories import make_job
from tests.jobs.dispatching import WORKER, claim, job_uuid, outcome_of, record, start
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def survey_as_dispatcher() -> Survey:
    with as_role("dispatcher"):
        return survey()


def beat(pool: str, slots: int, **report: Any) -> Any:
    worker_id = register_worker(pool=pool, slots=slots)
    wanted = {"jobs_per_slot": 1, "run_times": {}, "is_draining": False, **report}
    assert beat_worker(worker_id, slots=slots, **wanted)
    return worker_id


def test_without_workers_no_pool_has_credits() -> None:
    found = survey_as_dispatcher()
    assert {pool: capacity.credits for pool, capacity in found.capacities.items()} == {
        "handlers": 0,
        "egress": 0,
        "deliveries": 0,
    }


def test_the_slots_of_live_workers_add_up_and_the_slowest_word_counts() -> None:
    beat("handlers", 2, jobs_per_slot=10, run_times={"echo": 1.0, "sleep": 5.0})
    beat("handlers", 3, jobs_per_slot=20, run_times={"echo": 7.0})
    beat("egress", 200)
    beat("handlers", 100, is_draining=True)
    silent = beat("handlers", 1000)
    Worker.objects.filter(id=silent).update(seen_at=Now() - timedelta(seconds=11))
    found = survey_as_dispatcher().capacities
    handlers = found["handlers"]
    assert (handlers.slots, handlers.jobs_per_slot, handlers.run_times) == (5, 15, {"echo": 7.0, "sleep": 5.0})
    assert (found["egress"].slots, found["deliveries"].slots) == (200, 0)


def test_a_group_of_handler_jobs_holds_one_slot_and_a_claimed_job_none(tenant: Any) -> None:
    for _ in range(5):
        make_job(tenant)
    refs = claim(limit=5)
    start(refs[:3])
    handlers = survey_as_dispatcher().capacities["handlers"]
    assert (handlers.busy_slots, handlers.dispatched) == (1, 2)


def test_the_next_due_time_is_that_of_jobs_and_of_deliveries(tenant: Any) -> None:
    assert survey_as_dispatcher().job_due_seconds is None
    job = make_job(tenant, delay_seconds=60)
    found = survey_as_dispatcher()
    assert 50 < (found.job_due_seconds or 0) <= 60
    assert not found.has_due_jobs
    LiveJob.objects.filter(job_id=job_uuid(job)).update(due_at=Now() - timedelta(seconds=1))
    assert survey_as_dispatcher().has_due_jobs


def test_a_delivery_that_waits_for_its_next_try_has_a_due_time(tenant: Any) -> None:
    make_job(tenant, callback_url="http://127.0.0.1:9/")
    (started,) = start(claim())
    record(outcome_of(started))
    LiveDelivery.objects.filter(tenant_id=tenant.id).update(state="waiting", due_at=Now() + timedelta(seconds=30))
    assert 20 < (survey_as_dispatcher().delivery_due_seconds or 0) <= 30


def test_due_deliveries_that_nobody_can_take_do_not_keep_the_dispatcher_spinning(tenant: Any) -> None:
    make_job(tenant, callback_url="http://127.0.0.1:9/")
    record(*map(outcome_of, start(claim())))
    LiveDelivery.objects.update(state="waiting")
    assert survey_as_dispatcher().has_due_deliveries
    with as_role("dispatcher"):
        assert stage_due_deliveries() == 1
    assert survey_as_dispatcher().delivery_due_seconds is None


@pytest.mark.parametrize(
    ("job_due", "delivery_due", "slots", "rest"),
    [
        (None, None, 1, 1.0),
        (0.3, None, 1, 0.3),
        (-5.0, None, 1, 0.0),
        (5.0, 0.2, 1, 0.2),
        (0.5, -5.0, 1, 0.0),
        (0.5, -5.0, 0, 0.0),
    ],
)
def test_the_dispatcher_rests_until_something_is_due(
    job_due: float | None, delivery_due: float | None, slots: int, rest: float
) -> None:
    beat("deliveries", slots)
    capacities = survey_as_dispatcher().capacities
    assert Survey(capacities, job_due, delivery_due).rest_seconds(most=1.0) == rest


def test_a_run_that_its_endpoint_completes_later_holds_no_slot(tenant: Any) -> None:
    beat("egress", 10)
    for _ in range(3):
        make_job(tenant, type="http.request", payload={"url": "https://example.com/"})
    jobs = start(claim(pool="egress"))
    assert survey_as_dispatcher().capacities["egress"].busy_slots == 3
    with as_role("worker"):
        assert hand_over_runs([Handover(jobs[0], 60.0)], worker_id=WORKER) == 1
    assert survey_as_dispatcher().capacities["egress"].busy_slots == 2
    assert LiveJob.objects.filter(state="executing").count() == 3
