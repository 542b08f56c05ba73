"""Dispatchers, workers, accepts and the reaper at once, with real threads, connections and commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from jobservice.webhooks.models import Event
from tests.factories import Tenant, make_job, make_submission, make_tenant
from tests.jobs.dispatching import claim, end_lease, outcome_of, start
from tests.races.falling_asleep import FallingAsleep
from tests.roles import as_role

Race = Callable[..., list[Any]]


def claim_all(pool: str = "handlers") -> list[Ref]:
    """Claim in small bites until nothing is left."""
    taken: list[Ref] = []
    while batch := claim_jobs(pool, limit=7, lease_seconds=30):
        taken += [claimed.ref for claimed in batch]
    return taken


def test_five_dispatchers_claim_every_job_once(committed: None, race: Race) -> None:
    for _ in range(4):
        tenant = make_tenant()
        for number in range(30):
            make_job(tenant, queue=f"q{number % 2}")
    rounds = [race("dispatcher", *[claim_all] * 5) for _ in range(3)]
    taken = Counter(ref.id for batches in rounds for batch in batches for ref in batch)
    assert len(taken) == 120
    assert set(taken.values()) == {1}


def test_one_message_delivered_to_ten_workers_starts_each_job_once(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(20):
        make_job(racing_tenant)
    refs = claim()

    def begin() -> int:
        return len(start_jobs(refs, worker_id=new_id(), group_id=new_id(), lease_seconds=30))

    assert sum(race("worker", *[begin] * 10)) == 20
    assert set(LiveJob.objects.values_list("attempt", flat=True)) == {1}


def test_ten_records_of_one_run_end_the_job_once(racing_tenant: Tenant, race: Race) -> None:
    make_job(racing_tenant, callback_url="http://127.0.0.1:9/")
    (started,) = start(claim())
    reports = race("worker", *[lambda: record_outcomes([outcome_of(started)])] * 10)
    assert sum(report.recorded for report in reports) == 1
    assert Event.objects.count() == 1
    assert Attempt.objects.count() == 1


def test_the_reaper_and_a_late_record_never_both_win(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(20):
        job = make_job(racing_tenant)
        (started,) = start(claim())
        end_lease(job)

        def late(started: Any = started) -> int:
            with as_role("worker"):
                return record_outcomes([outcome_of(started)]).recorded

        def rescue() -> int:
            return reap_leases().crashed

        recorded, crashed = race("owner", late, rescue)
        assert recorded + crashed == 1
        LiveJob.objects.all().delete()


def test_records_of_the_same_jobs_in_opposite_order_do_not_block_each_other(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(60):
        make_job(racing_tenant)
    started = start(claim())
    outcomes = [outcome_of(job) for job in started]
    reports = race(
        "worker",
        lambda: record_outcomes(outcomes),
        lambda: record_outcomes(outcomes[::-1]),
        lambda: record_outcomes(outcomes[30:] + outcomes[:30]),
    )
    assert sum(report.recorded for report in reports) == 60
    assert Job.objects.filter(final_state="completed").count() == 60


def test_no_accepted_job_is_left_in_a_lane_that_was_put_to_sleep(
    racing_tenant: Tenant, race: Race, falling_asleep: FallingAsleep
) -> None:
    accepts = [partial(accept_job, racing_tenant.id, make_submission()) for _ in range(60)]
    slept, accepted = race("owner", falling_asleep.put_to_sleep, partial(falling_asleep.meanwhile, accepts))
    assert accepted == 60
    assert slept > 0
    claim_all()
    assert set(LiveJob.objects.values_list("state", flat=True)) == {"dispatched"}
