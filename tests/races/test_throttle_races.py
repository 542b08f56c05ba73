"""A throttle that is written, honoured, lifted and forgotten all at once loses no job and blocks no recorder."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction

from jobservice.crypto.message_mac import Ref
from jobservice.jobs import throttles
from jobservice.jobs.claims import claim_jobs, stage_due_jobs
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.limits import Sweep
from jobservice.jobs.models import EndpointThrottle, Job, LiveJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.throttles import forget_throttles, let_go_throttled
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import WORKER, claim, outcome_of, start
from tests.jobs.throttling import not_now, put_endpoint, wait_out
from tests.races.acting import working
from tests.roles import as_role, set_role

Race = Callable[..., list[Any]]
TYPES = ("a.do", "b.do")
DISPATCHERS, WORKERS = 3, 3
PATIENCE_SECONDS = 50.0


class Site:
    """Endpoints that say "not now" to a third of the calls, for a moment, and threads that claim, run and let go."""

    def __init__(self, seed: int) -> None:
        self.tenants = [make_tenant(), make_tenant()]
        self.handed: queue.Queue[list[Ref]] = queue.Queue()
        self.over = threading.Event()
        self.said_not_now = 0
        self._seed = seed

    def submit(self, jobs: int) -> None:
        draw = random.Random(self._seed)
        for tenant in self.tenants:
            for name in TYPES:
                put_endpoint(tenant, name)
        for _ in range(jobs):
            fields: dict[str, Any] = {"type": draw.choice(TYPES), "queue": draw.choice(["x", "y"]), "max_attempts": 100}
            fields |= {"retry": {"strategy": "fixed", "initial_seconds": 0, "jitter": 0}}
            if draw.random() < 0.4:
                fields["concurrency_key"] = draw.choice(["k", "l"])
            make_job(draw.choice(self.tenants), **fields)

    def dispatch(self) -> None:
        sweep = Sweep()
        while not self.over.is_set():
            claims = claim_jobs("egress", limit=random.randint(1, 9), lease_seconds=30)
            if claims:
                self.handed.put([claimed.ref for claimed in claims])
            let_go_throttled()
            forget_throttles()
            sweep.reopen()
            stage_due_jobs()
            self.over.wait(random.random() * 0.004)

    def work(self) -> None:
        while not self.over.is_set():
            try:
                refs = self.handed.get(timeout=0.05)
            except queue.Empty:
                continue
            started = start_jobs(refs, worker_id=WORKER, group_id=WORKER, lease_seconds=30)
            record_outcomes([self._end(job) for job in started])

    def _end(self, job: Any) -> Any:
        if random.random() < 0.7:
            return outcome_of(job)
        self.said_not_now += 1
        return not_now(job, random.random() * 0.05)

    def until_done(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while LiveJob.objects.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.over.set()


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_said_and_let_go_meanwhile_every_job_ends(
    committed: None, race: Race, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # Throttles are forgotten while claims that saw them may still be under way.
    monkeypatch.setattr(throttles, "FORGET_SECONDS", 0.0)
    monkeypatch.setattr(throttles, "STEP_SECONDS", 0.01)
    site, jobs = Site(seed), 200
    site.submit(jobs)

    race(
        "owner",
        *[working("dispatcher", site.dispatch, over=site.over)] * DISPATCHERS,
        *[working("worker", site.work, over=site.over)] * WORKERS,
        working("dispatcher", site.until_done, over=site.over),
    )
    left = list(LiveJob.objects.values_list("state", "is_parked", "is_throttled"))
    assert not left, f"{len(left)} jobs wait for nobody: {left[:5]}"
    assert Job.objects.filter(final_state="completed").count() == jobs
    assert site.said_not_now > jobs / 10


def test_a_claim_that_saw_the_throttle_parks_after_it_was_forgotten_and_loses_nobody(racing_tenant: Tenant) -> None:
    put_endpoint(racing_tenant)
    make_job(racing_tenant, type="work.do")
    [started] = start(claim(pool="egress"))
    with as_role("worker"):
        record_outcomes([not_now(started, 60)])
    waiting = make_job(racing_tenant, type="work.do")
    with transaction.atomic():
        set_role("dispatcher")
        assert claim_jobs("egress", limit=5, lease_seconds=30) == [], "the throttle is still on"
        _elsewhere("owner", lambda: wait_out(3600))
        assert _elsewhere("dispatcher", forget_throttles) == 1, "nobody is seen to wait for it"
    assert LiveJob.objects.get(is_throttled=True).attempt == 0
    _elsewhere("dispatcher", let_go_throttled)
    assert [str(ref.id) for ref in claim(pool="egress")] == [str(LiveJob.objects.get(state="dispatched").job_id)]
    assert waiting["state"] == "available"


def test_a_throttle_that_somebody_writes_holds_up_neither_a_dispatcher_nor_another_types_recorder(
    racing_tenant: Tenant,
) -> None:
    types = (*TYPES, "c.do")
    for name in types:
        put_endpoint(racing_tenant, name)
        make_job(racing_tenant, type=name)
    started = {job.type: job for job in start(claim(pool="egress"))}
    with as_role("worker"):
        record_outcomes([not_now(started[name]) for name in TYPES])
    # One that is to be let go of, and one to be forgotten.
    make_job(racing_tenant, type=TYPES[0])
    assert claim(pool="egress") == []
    wait_out(200)
    for name in types:
        make_job(racing_tenant, type=name)
    with transaction.atomic():
        assert len(EndpointThrottle.objects.select_for_update().all()) == 2
        assert _elsewhere("dispatcher", let_go_throttled) == 0
        assert _elsewhere("dispatcher", forget_throttles) == 0
        assert _elsewhere("dispatcher", lambda: len(claim_jobs("egress", limit=9, lease_seconds=30))) == 3
        report = _elsewhere("worker", lambda: record_outcomes([not_now(started["c.do"])]))
        assert report.recorded == 1
    assert _elsewhere("dispatcher", forget_throttles) == 1
    assert _elsewhere("dispatcher", let_go_throttled) == 1


def test_a_recorder_takes_the_endpoints_in_order_so_that_two_cannot_block_each_other(racing_tenant: Tenant) -> None:
    for name in TYPES:
        put_endpoint(racing_tenant, name)
        for _ in range(2):
            make_job(racing_tenant, type=name)
    first, last = TYPES
    started = sorted(start(claim(pool="egress")), key=lambda job: job.type, reverse=True)
    with as_role("worker"):
        record_outcomes([not_now(started[0]), not_now(started[2])])
    group = [not_now(started[1]), not_now(started[3])]
    assert [outcome.job.type for outcome in group] == [last, first]
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            EndpointThrottle.objects.select_for_update().get(type=first)
            recorded = threads.submit(_elsewhere, "worker", lambda: record_outcomes(group).recorded, patience="60s")
            _wait_until_blocked()
            # It waits for the first, and holds none behind it.
            EndpointThrottle.objects.select_for_update(nowait=True).get(type=last)
        assert recorded.result(timeout=60) == 2


def _wait_until_blocked() -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            # Within a transaction it is seen once, unless that is forgotten.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchall():
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


def _elsewhere(role: str, act: Callable[[], Any], *, patience: str = "5s") -> Any:
    """On another connection, where a wait for a lock that takes longer than this is an error."""

    def run() -> Any:
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{patience}'")
            set_role(role)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result(timeout=60)
