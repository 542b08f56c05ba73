"""Dispatchers, workers, accepts and the reaper at once, with real threads, connections and commits."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs import lanes
from jobservice.jobs.accept import accept_job
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.lanes import deactivate_idle_lanes
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from jobservice.statements import run_statement
from jobservice.webhooks.models import Event
from tests.factories import Tenant, make_job, make_submission, make_tenant
from tests.jobs.dispatching import claim, end_lease, outcome_of, start
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
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "IDLE_SECONDS", -1.0)
    tenant_id = racing_tenant.id
    over, falling_asleep = threading.Event(), threading.Event()
    run, pauses = run_statement, itertools.cycle([0.0, 0.001, 0.002, 0.003, 0.004, 0.006])

    def run_slowly(path: Path, parameters: Any) -> Any:
        if path.stem == "deactivate_lanes":
            # Widen the gap between the first look and the sleep, and send the next accept right into it.
            falling_asleep.set()
            time.sleep(next(pauses))
        return run(path, parameters)

    monkeypatch.setattr(lanes, "run_statement", run_slowly)

    def put_to_sleep() -> int:
        count = 0
        while not over.is_set():
            claim_jobs("handlers", limit=100, lease_seconds=30)
            with transaction.atomic():
                count += deactivate_idle_lanes()
        return count

    def accept() -> int:
        try:
            for number in range(60):
                if number % 4 == 3:
                    assert falling_asleep.wait(timeout=30)
                    falling_asleep.clear()
                accept_job(tenant_id, make_submission())
            return 60
        finally:
            over.set()

    slept, accepted = race("owner", put_to_sleep, accept)
    assert accepted == 60
    assert slept > 0
    claim_all()
    assert set(LiveJob.objects.values_list("state", flat=True)) == {"dispatched"}
