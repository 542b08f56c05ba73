"""No interleaving of dispatchers, ends, crashes, releases and changes exceeds a limit, and none leaks a slot."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.claims import claim_jobs, return_claims, stage_due_jobs
from jobservice.jobs.leases import release_jobs, start_jobs
from jobservice.jobs.limits import Sweep, open_rated_lanes
from jobservice.jobs.models import Job, LiveJob, Queue
from jobservice.jobs.outcomes import OutcomeKind
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from tenants.models import Tenant as TenantRow
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.counting import counted, held
from tests.jobs.dispatching import WORKER, outcome_of
from tests.races.acting import working
from tests.roles import as_role
from tests.stopwatch import Stopwatch

Race = Callable[..., list[Any]]
DISPATCHERS, WORKERS = 4, 4
TENANT_SLOTS, QUEUE_SLOTS, KEY_SLOTS = 6, 3, 2
PATIENCE_SECONDS = 50.0
HTTP = {"type": "http.request", "payload": {"method": "GET", "url": "https://example.com/"}}
# One statement sees one moment: what it counts was so.
COUNTED = """
SELECT l.tenant_id, lane.queue, l.concurrency_hash, count(*) FROM job_live l JOIN lane ON lane.id = l.lane_id
WHERE l.state IN ('dispatched', 'executing') GROUP BY 1, 2, 3
"""


class Site:
    """Two tenants with limits of every kind, and threads that claim, run, crash, give back and look."""

    def __init__(self, seed: int) -> None:
        self.tenants = [make_tenant(), make_tenant()]
        self.handed: queue.Queue[list[Ref]] = queue.Queue()
        self.over = threading.Event()
        self.most: Counter[str] = Counter()
        self._seed = seed

    def submit(self, jobs: int) -> None:
        draw = random.Random(self._seed)
        for _ in range(jobs):
            tenant = draw.choice(self.tenants)
            fields: dict[str, Any] = {"queue": draw.choice(["narrow", "keyed", "wide"]), "max_attempts": 100}
            fields |= {"retry": {"strategy": "fixed", "initial_seconds": 0, "jitter": 0}}
            if draw.random() < 0.6:
                fields["concurrency_key"] = draw.choice(["a", "b", "c"])
            make_job(tenant, **fields, **(HTTP if draw.random() < 0.4 else {}))
        for tenant in self.tenants:
            TenantRow.objects.filter(id=tenant.id).update(quotas={"running": TENANT_SLOTS})
        Queue.objects.filter(name="narrow").update(concurrency=QUEUE_SLOTS)
        Queue.objects.filter(name="keyed").update(key_concurrency=KEY_SLOTS)

    def dispatch(self) -> None:
        sweep = Sweep()
        while not self.over.is_set():
            for pool in ("handlers", "egress"):
                claims = claim_jobs(pool, limit=random.randint(1, 9), lease_seconds=30)
                if claims:
                    self.handed.put([claim.ref for claim in claims])
            sweep.reopen()
            open_rated_lanes()
            reap_leases()
            stage_due_jobs()
            self.over.wait(random.random() * 0.004)

    def work(self) -> None:
        with as_role("worker"):
            while not self.over.is_set():
                try:
                    refs = self.handed.get(timeout=0.05)
                except queue.Empty:
                    continue
                self._run(refs)

    def _run(self, refs: list[Ref]) -> None:
        draw = random.random()
        if draw < 0.1:
            with as_role("dispatcher"):
                return_claims(refs)
            return
        started = start_jobs(refs, worker_id=WORKER, group_id=WORKER, lease_seconds=30)
        time.sleep(random.random() * 0.005)
        if draw < 0.2:
            release_jobs(refs, worker_id=WORKER)
            return
        kinds: list[OutcomeKind] = random.choices(["completed", "failed"], [8, 2], k=len(started))
        record_outcomes([outcome_of(job, kind, **_why(kind)) for job, kind in zip(started, kinds, strict=True)])

    def watch(self) -> None:
        while not self.over.is_set():
            with connection.cursor() as cursor:
                cursor.execute(COUNTED)
                rows = cursor.fetchall()
            tenants: Counter[Any] = Counter()
            narrow: Counter[Any] = Counter()
            for tenant_id, name, key, count in rows:
                tenants[tenant_id] += count
                narrow[tenant_id] += count if name == "narrow" else 0
                if key is not None:
                    kind = "key" if name == "keyed" else "lone key"
                    self.most[kind] = max(self.most[kind], count)
            self.most["tenant"] = max(self.most["tenant"], *tenants.values(), 0)
            self.most["queue"] = max(self.most["queue"], *narrow.values(), 0)

    def until_done(self) -> None:
        """Jobs end, all of them, or it takes too long: then somebody waits for a slot that leaked."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while LiveJob.objects.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.over.set()


def _why(kind: OutcomeKind) -> dict[str, Any]:
    return {} if kind == "completed" else {"error_code": "no"}


@pytest.mark.parametrize("seed", [1, 2])
def test_no_limit_is_exceeded_and_no_slot_is_lost(committed: None, race: Race, seed: int) -> None:
    site = Site(seed)
    jobs = 240
    site.submit(jobs)

    race(
        "owner",
        *[working("dispatcher", site.dispatch, over=site.over)] * DISPATCHERS,
        *[working("worker", site.work, over=site.over)] * WORKERS,
        working("dispatcher", site.watch, over=site.over),
        working("dispatcher", site.until_done, over=site.over),
    )
    left = list(LiveJob.objects.values_list("state", "is_parked"))
    assert not left, f"{len(left)} jobs wait for a slot that nobody holds: {left[:5]}"
    assert Job.objects.filter(final_state="completed").count() == jobs
    # All these ends at once were counted, each once.
    assert [counted(tenant.id) for tenant in site.tenants] == [held(tenant.id) for tenant in site.tenants]
    # Each limit was reached, and none passed.
    assert site.most == {"tenant": TENANT_SLOTS, "queue": QUEUE_SLOTS, "key": KEY_SLOTS, "lone key": 1}


def test_a_rate_is_exact_over_all_dispatchers(racing_tenant: Tenant, race: Race) -> None:
    jobs, burst, per_second = 24, 4, 20
    for _ in range(jobs):
        make_job(racing_tenant)
    Queue.objects.update(rate={"limit": per_second, "period_seconds": 1, "burst": burst})
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Of each job between which two moments its claim looked at the clock.
    looks: list[tuple[float, float]] = []

    def dispatch() -> None:
        while LiveJob.objects.filter(state="available").exists() and time.monotonic() < deadline:
            before = time.time()
            claims = claim_jobs("handlers", limit=10, lease_seconds=60)
            looks.extend([(before, time.time())] * len(claims))
            open_rated_lanes()

    with Stopwatch() as watch:
        race("dispatcher", *[dispatch] * 5)
    assert len(looks) == LiveJob.objects.filter(state="dispatched").count() == jobs
    for begin, _ in looks:
        for _, end in looks:
            among = sum(begin <= before and after <= end for before, after in looks)
            assert among <= burst + max(0.0, end - begin) * per_second
    # And it is used: it took no longer than the rate makes it, and what the machine adds.
    assert watch.moving_seconds < (jobs - burst) / per_second + 5
