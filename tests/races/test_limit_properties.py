"""Whatever tenants, limits, jobs, ends and changes come: no claim exceeds a limit, and what can run does in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.claims import return_claims, stage_due_jobs
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.limits import Sweep
from jobservice.jobs.models import Lane, LiveJob, Queue
from jobservice.jobs.outcomes import StartedJob
from jobservice.jobs.suspension import resume_tenant, suspend_tenant
from tenants.models import Tenant as TenantRow
from tenants.quotas import DEFAULTS
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import WORKER, claim, outcome_of, record, start
from tests.jobs.limiting import limit_queue, limit_tenant
from tests.jobs.throttling import let_go, not_now, put_endpoint, wait_out
from tests.roles import as_role

pytestmark = pytest.mark.django_db

HTTP = {"type": "work.do"}
RETRY = {"strategy": "fixed", "initial_seconds": 0, "jitter": 0}
QUEUES, KEYS, POOLS = ("a", "b"), (None, "k", "l"), ("handlers", "egress")
MOST_ROUNDS = 100

_tenants = st.integers(0, 1)
_queues = st.sampled_from(QUEUES)
_small = st.integers(1, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), _tenants, _queues, st.sampled_from(KEYS), st.booleans()),
        st.tuples(st.just("claim"), st.sampled_from(POOLS), st.integers(1, 8)),
        st.tuples(st.just("start"), _small),
        st.tuples(st.sampled_from(["complete", "fail", "not_now", "crash", "release", "return"]), _small),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("concurrency"), _tenants, _queues, st.one_of(st.none(), st.integers(0, 3))),
        st.tuples(st.just("key_concurrency"), _tenants, _queues, _small),
        st.tuples(st.just("running"), _tenants, st.one_of(st.none(), st.integers(0, 4))),
        st.tuples(st.sampled_from(["pause", "resume"]), _tenants, _queues),
        st.tuples(st.sampled_from(["suspend", "unsuspend"]), _tenants),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("wait"), st.sampled_from([1, 60])),
        st.tuples(st.just("put"), _tenants),
    ),
    min_size=10,
    max_size=60,
)


class World:
    """Two tenants, and what their workers hold."""

    def __init__(self) -> None:
        self.tenants: list[Tenant] = [make_tenant(), make_tenant()]
        self.versions = {tenant.id: put_endpoint(tenant) for tenant in self.tenants}
        self.claimed: list[Ref] = []
        self.started: list[StartedJob] = []

    def act(self, step: tuple[Any, ...]) -> None:
        getattr(self, f"do_{step[0]}")(*step[1:])

    def do_submit(self, tenant: int, queue: str, key: str | None, is_http: bool) -> None:
        fields = {"queue": queue, "retry": RETRY, "max_attempts": 100, **({"concurrency_key": key} if key else {})}
        make_job(self.tenants[tenant], **fields, **(HTTP if is_http else {}))

    def do_claim(self, pool: str, limit: int) -> None:
        before, pausing = slots(), throttled()
        claimed = claim(limit, pool=pool)
        self.claimed += claimed
        assert_no_more_than(limits(), before)
        called = LiveJob.objects.filter(job_id__in=[ref.id for ref in claimed], type="work.do")
        assert not pausing & set(called.values_list("tenant_id", flat=True)), "an endpoint that wants a pause is called"

    def do_start(self, count: int) -> None:
        self.started += start(take(self.claimed, count))

    def do_complete(self, count: int) -> None:
        record(*[outcome_of(job) for job in take(self.started, count)])

    def do_fail(self, count: int) -> None:
        record(*[outcome_of(job, "failed", error_code="no") for job in take(self.started, count)])

    def do_not_now(self, count: int) -> None:
        """Their endpoints want to be left alone for a minute; these jobs themselves may come again before."""
        told = take(self.started, count)
        record(*[not_now(job, 60, version=self.versions[job.tenant_id], retry_after_seconds=0) for job in told])

    def do_wait(self, seconds: int) -> None:
        wait_out(seconds)
        let_go()

    def do_put(self, tenant: int) -> None:
        self.versions[self.tenants[tenant].id] = put_endpoint(self.tenants[tenant])

    def do_crash(self, count: int) -> None:
        # Once each, so that none is put in quarantine.
        crashed = [job for job in self.started if job.crash_count == 0][:count]
        self.started = [job for job in self.started if job not in crashed]
        record(*[outcome_of(job, "crashed", error_code="gone") for job in crashed])

    def do_release(self, count: int) -> None:
        with as_role("worker"):
            released = [Ref(job.tenant_id, job.job_id, job.epoch) for job in take(self.started, count)]
            release_jobs(released, worker_id=WORKER)

    def do_return(self, count: int) -> None:
        with as_role("dispatcher"):
            return_claims(take(self.claimed, count))

    def do_cancel(self, place: int) -> None:
        waiting = list(LiveJob.objects.exclude(state="executing").order_by("job_id"))
        if waiting:
            job = waiting[place % len(waiting)]
            with as_role("web"):
                cancel_job(job.tenant_id, job.job_id)

    def do_concurrency(self, tenant: int, queue: str, limit: int | None) -> None:
        limit_queue(self.tenants[tenant], queue, concurrency=limit)

    def do_key_concurrency(self, tenant: int, queue: str, limit: int) -> None:
        limit_queue(self.tenants[tenant], queue, key_concurrency=limit)

    def do_running(self, tenant: int, limit: int | None) -> None:
        limit_tenant(self.tenants[tenant], quotas={"running": limit})

    def do_pause(self, tenant: int, queue: str) -> None:
        limit_queue(self.tenants[tenant], queue, paused_at=Now())

    def do_resume(self, tenant: int, queue: str) -> None:
        limit_queue(self.tenants[tenant], queue, paused_at=None)

    def do_suspend(self, tenant: int) -> None:
        suspend_tenant(self.tenants[tenant].id)

    def do_unsuspend(self, tenant: int) -> None:
        resume_tenant(self.tenants[tenant].id)

    def do_sweep(self) -> None:
        with as_role("dispatcher"):
            Sweep().reopen()

    def run_dry(self) -> None:
        """From now on each limit lets at least one job run, and workers take and end what they get."""
        for tenant in self.tenants:
            if (TenantRow.objects.get(id=tenant.id).quotas or {}).get("running") == 0:
                limit_tenant(tenant, quotas={"running": 1})
            resume_tenant(tenant.id)
            for queue in Queue.objects.filter(tenant_id=tenant.id):
                limit_queue(tenant, queue.name, paused_at=None, concurrency=queue.concurrency or None)
        # A quota that was raised is seen by the look of each second.
        self.do_sweep()
        for _ in range(MOST_ROUNDS):
            with as_role("dispatcher"):
                stage_due_jobs()
            self.do_wait(60)
            for pool in POOLS:
                self.do_claim(pool, 5)
            self.do_start(len(self.claimed))
            self.do_complete(len(self.started))
            if not LiveJob.objects.exists():
                return
        left = list(LiveJob.objects.values_list("state", "is_parked", "lane_id"))
        raise AssertionError(f"{len(left)} jobs never run: {left[:3]}; {list(Lane.objects.values())}")


def take(held: list[Any], count: int) -> list[Any]:
    taken, held[:count] = held[:count], []
    return taken


def throttled() -> set[UUID]:
    """The tenants whose endpoint wants to be left alone, as it is written now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.tenant_id FROM endpoint_throttle t JOIN job_type ON job_type.tenant_id = t.tenant_id "
            "AND name = type AND version = type_version WHERE until > clock_timestamp()"
        )
        return {tenant_id for (tenant_id,) in cursor.fetchall()}


Slots = Counter[tuple[Any, ...]]


def slots() -> Slots:
    """The slots in use by tenant, by queue, and by key."""
    used: Slots = Counter()
    lanes = dict(Lane.objects.values_list("id", "queue"))
    for job in LiveJob.objects.filter(state__in=["dispatched", "executing"]):
        queue = lanes[job.lane_id]
        used[(job.tenant_id,)] += 1
        used[job.tenant_id, queue] += 1
        if job.concurrency_hash is not None:
            used[job.tenant_id, queue, bytes(job.concurrency_hash)] += 1
    return used


def limits() -> Callable[[tuple[Any, ...]], float]:
    running: dict[UUID, Any] = {
        tenant.id: tenant.quotas.get("running", DEFAULTS["running"]) if tenant.status == "active" else 0
        for tenant in TenantRow.objects.all()
    }
    queues = {(queue.tenant_id, queue.name): queue for queue in Queue.objects.all()}

    def limit(of: tuple[Any, ...]) -> float:
        if len(of) == 1:
            most = running[of[0]]
        elif len(of) == 2:
            queue = queues[of[0], of[1]]
            most = 0 if queue.paused_at else queue.concurrency
        else:
            most = queues[of[0], of[1]].key_concurrency
        return float("inf") if most is None else most

    return limit


def assert_no_more_than(limit: Callable[[tuple[Any, ...]], float], before: Slots) -> None:
    """What is over a limit that was lowered stays so until it ends, and gets no more."""
    for of, used in slots().items():
        assert used <= max(limit(of), before[of]), f"{used} slots of {of}, {limit(of)} allowed"


def told_not_now(*then: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Three jobs of one endpoint, of which the first is told "not now", and what comes then: drawn, it seldom comes."""
    jobs = [("submit", 0, queue, key, True) for queue, key in (("a", "k"), ("a", "k"), ("b", None))]
    return [*jobs, ("claim", "egress", 1), ("start", 1), ("not_now", 1), ("claim", "egress", 8), *then]


@example(steps=told_not_now())
@example(steps=told_not_now(("pause", 0, "a"), ("wait", 60), ("resume", 0, "a"), ("claim", "egress", 8)))
@example(steps=told_not_now(("put", 0), ("claim", "egress", 8), ("cancel", 0), ("sweep",)))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_no_claim_exceeds_a_limit_and_what_can_run_does(steps: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        world = World()
        for step in steps:
            world.act(step)
        world.run_dry()
        transaction.set_rollback(True)
