"""Changing and erasing a job against whoever moves it at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from jobservice.errors import NotFound
from jobservice.ids import new_id
from jobservice.jobs.change import JobChange, JobNotWaiting, change_job
from jobservice.jobs.claims import claim_jobs, stage_due_jobs
from jobservice.jobs.erase import JobNotTerminal, erase_job
from jobservice.jobs.models import Job, JobTag, LiveJob
from jobservice.jobs.record import record_outcomes
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from jobservice.webhooks.models import Delivery, DeliveryAttempt, Event, LiveDelivery
from tenants.models import Blob
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, live, outcome_of, record, start
from tests.races.acting import acting
from tests.races.falling_asleep import FallingAsleep

Race = Callable[..., list[Any]]
PUT_OFF = JobChange(delay_seconds=3600)
ROUNDS = 25


def test_a_change_and_a_claim_never_both_have_the_job(racing_tenant: Tenant, race: Race) -> None:
    won = {"change": 0, "claim": 0}
    for _ in range(ROUNDS):
        job = make_job(racing_tenant)
        before = live(job)

        def put_off(job: dict[str, Any] = job) -> bool:
            try:
                change_job(racing_tenant.id, job_uuid(job), PUT_OFF)
            except JobNotWaiting:
                return False
            return True

        def take() -> list[Any]:
            return claim_jobs("handlers", limit=5, lease_seconds=30)

        is_changed, taken = race("owner", acting("web", put_off), acting("dispatcher", take))
        after = live(job)
        if is_changed:
            won["change"] += 1
            assert (taken, after.state) == ([], "scheduled")
            assert after.due_at > before.due_at
        else:
            won["claim"] += 1
            assert [claimed.ref.id for claimed in taken] == [job_uuid(job)]
            assert (after.state, after.due_at, Event.objects.count()) == ("dispatched", before.due_at, won["change"])
        LiveJob.objects.all().delete()
    assert sum(won.values()) == ROUNDS


def test_a_job_put_off_while_it_becomes_due_is_put_off(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job = make_job(racing_tenant, delay_seconds=3600)
        LiveJob.objects.filter(job_id=job_uuid(job)).update(due_at="2020-01-01T00:00:00Z")
        race(
            "owner",
            acting("web", partial(change_job, racing_tenant.id, job_uuid(job), PUT_OFF)),
            acting("dispatcher", stage_due_jobs),
        )
        assert live(job).state == "scheduled"
        assert claim() == []


def test_changes_at_once_undo_nothing_of_each_other(racing_tenant: Tenant, race: Race) -> None:
    changes = [JobChange(tags={"a": "1"}), JobChange(max_attempts=7), JobChange(priority=4), PUT_OFF]
    for _ in range(ROUNDS):
        job = make_job(racing_tenant)
        race("web", *[partial(change_job, racing_tenant.id, job_uuid(job), one) for one in changes])
        row, waiting = Job.objects.get(id=job_uuid(job)), live(job)
        assert (row.tags, row.max_attempts, row.priority, row.run_at) == ({"a": "1"}, 7, 4, waiting.due_at)
        assert (waiting.state, waiting.priority) == ("scheduled", 4)
        assert JobTag.objects.filter(job_id=row.id).count() == 1
        told = Event.objects.filter(job_id=row.id).values_list("details", flat=True)
        names = sorted(name for details in told if details for name in details["changed"])
        assert names == ["max_attempts", "priority", "run_at", "tags"]


def test_no_job_made_available_is_left_in_a_sleeping_lane(
    racing_tenant: Tenant, race: Race, falling_asleep: FallingAsleep
) -> None:
    jobs = [job_uuid(make_job(racing_tenant, delay_seconds=3600)) for _ in range(60)]
    changes = [partial(change_job, racing_tenant.id, job_id, JobChange(delay_seconds=0)) for job_id in jobs]
    slept, changed = race(
        "owner",
        acting("dispatcher", falling_asleep.put_to_sleep),
        acting("web", falling_asleep.meanwhile, changes),
    )
    assert changed == 60
    assert slept > 0
    claim()
    assert set(LiveJob.objects.values_list("state", flat=True)) == {"dispatched"}


def test_a_job_is_erased_only_after_its_end_whatever_comes_first(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job = make_job(racing_tenant)
        (started,) = start(claim())

        def try_to_erase(job: dict[str, Any] = job) -> bool:
            try:
                erase_job(racing_tenant.id, job_uuid(job))
            except JobNotTerminal:
                return False
            return True

        is_erased, report = race(
            "owner",
            acting("web", try_to_erase),
            acting("worker", partial(record_outcomes, [outcome_of(started)])),
        )
        assert report.recorded == 1
        assert Job.objects.filter(id=job_uuid(job)).exists() != is_erased
        assert Event.objects.filter(job_id=job_uuid(job)).exists() != is_erased


def test_a_recorded_try_of_a_delivery_does_not_survive_its_job(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job = make_job(racing_tenant, callback_url="http://127.0.0.1:9/")
        record(outcome_of(start(claim())[0]))
        refs = claim_deliveries(1, lease_seconds=30)
        start_deliveries(refs, worker_id=new_id(), lease_seconds=30)
        result = DeliveryResult(ref=refs[0], duration_ms=1, status=500, delay_seconds=60)
        race(
            "owner",
            acting("worker", partial(record_deliveries, [result])),
            acting("web", partial(erase_job, racing_tenant.id, job_uuid(job))),
        )
        for table in (Job, Event, Delivery, LiveDelivery, DeliveryAttempt, Blob):
            assert not table.objects.exists(), table


def test_of_two_who_erase_one_job_one_does(racing_tenant: Tenant, race: Race) -> None:
    job = make_job(racing_tenant)
    record(outcome_of(start(claim())[0]))

    def erase() -> bool:
        try:
            erase_job(racing_tenant.id, job_uuid(job))
        except NotFound:
            return False
        return True

    assert sorted(race("web", *[erase] * 4)) == [False, False, False, True]
