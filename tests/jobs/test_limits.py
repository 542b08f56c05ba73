"""What holds a job back: the slots of its tenant, its queue and its concurrency key, and its queue's pause."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.crypto.message_mac import Ref
from jobservice.ids import TENANT, show_id
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.claims import return_claims
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.limits import Sweep
from jobservice.jobs.models import Lane, LiveJob, Share
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.suspension import resume_tenant, suspend_tenant
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, record, start
from tests.jobs.limiting import HTTP, limit_queue, limit_tenant
from tests.roles import as_role
from tests.tenants.commands import run

pytestmark = pytest.mark.django_db


def reopen() -> int:
    with as_role("dispatcher"):
        return Sweep().reopen()


def end(refs: list[Ref]) -> None:
    record(*[outcome_of(job) for job in start(refs)])


def ids(refs: list[Ref]) -> set[Any]:
    return {ref.id for ref in refs}


def test_a_queue_has_no_more_slots_than_it_says_and_a_freed_one_is_taken_at_once(tenant: Tenant) -> None:
    for _ in range(5):
        make_job(tenant)
    limit_queue(tenant, concurrency=2)
    first = claim()
    assert len(first) == 2
    assert claim() == []
    end(first[:1])
    assert len(claim()) == 1
    assert claim() == []


def test_a_queues_slots_are_those_of_both_pools(tenant: Tenant) -> None:
    make_job(tenant)
    make_job(tenant, **HTTP)
    limit_queue(tenant, concurrency=1)
    first = claim()
    assert len(first) == 1
    assert claim(pool="egress") == []
    end(first)
    assert len(claim(pool="egress")) == 1


def test_a_queue_without_slots_starts_nothing(tenant: Tenant) -> None:
    make_job(tenant)
    limit_queue(tenant, concurrency=0)
    assert claim() == []
    assert reopen() == 0
    limit_queue(tenant, concurrency=None)
    assert len(claim()) == 1


def test_a_tenant_has_no_more_slots_than_its_quota_over_all_its_queues_and_pools(tenant: Tenant) -> None:
    limit_tenant(tenant, quotas={"running": 3})
    for queue in ("a", "b", "c", "d"):
        make_job(tenant, queue=queue)
        make_job(tenant, queue=queue, **HTTP)
    taken = claim(2) + claim(pool="egress")
    assert len(taken) == 3
    assert claim() + claim(pool="egress") == []
    record(*[outcome_of(job) for job in start(taken[:2])])
    assert len(claim() + claim(pool="egress")) == 2


def test_a_tenant_without_a_quota_has_no_limit_and_the_default_is_two_hundred(tenant: Tenant) -> None:
    for _ in range(21):
        make_job(tenant)
    assert len(claim(1)) == 1
    limit_tenant(tenant, quotas={"running": 20})
    assert len(claim(500)) == 19
    limit_tenant(tenant, quotas={"running": None})
    assert reopen() == 1
    assert len(claim(500)) == 1


@pytest.mark.parametrize("raise_it", [("set_quota", "{id}", "running=2"), ("set_plan", "pro", "running=2")])
def test_a_raised_quota_lets_what_waits_for_it_go_on_at_once(tenant: Tenant, raise_it: tuple[str, ...]) -> None:
    run("set_plan", "pro", "running=1")
    run("set_quota", show_id(TENANT, tenant.id), "--plan", "pro")
    for _ in range(3):
        make_job(tenant)
    assert len(claim()) == 1
    assert claim() == []
    run(*[word.format(id=show_id(TENANT, tenant.id)) for word in raise_it])
    assert len(claim()) == 1


def test_a_tenant_at_its_limit_holds_nobody_back(tenant: Tenant, other_tenant: Tenant) -> None:
    limit_tenant(tenant, quotas={"running": 1})
    for _ in range(5):
        make_job(tenant)
        make_job(other_tenant)
    assert Counter(ref.tenant_id for ref in claim()) == {tenant.id: 1, other_tenant.id: 5}


@pytest.mark.parametrize("free", ["end", "retry", "release", "return", "reap", "lost-message", "cancel"])
def test_every_way_out_of_a_run_frees_its_slots(tenant: Tenant, free: str) -> None:
    """The slots of the queue, the tenant and the key at once, without any sweep."""
    limit_tenant(tenant, quotas={"running": 1})
    first = make_job(tenant, concurrency_key="k", max_attempts=2)
    make_job(tenant, concurrency_key="k")
    make_job(tenant, concurrency_key="other")
    limit_queue(tenant, concurrency=1)
    refs = claim()
    assert ids(refs) == {job_uuid(first)}
    assert claim() == []
    match free:
        case "end":
            end(refs)
        case "retry":
            record(outcome_of(start(refs)[0], "failed", error_code="no"))
        case "release":
            start(refs)
            with as_role("worker"):
                release_jobs(refs, worker_id=WORKER)
        case "return":
            with as_role("dispatcher"):
                return_claims(refs)
        case "reap" | "lost-message":
            if free == "reap":
                start(refs)
            end_lease(first)
            with as_role("dispatcher"):
                reap_leases()
        case "cancel":
            with as_role("web"):
                cancel_job(tenant.id, job_uuid(first))
    assert len(claim()) == 1
    assert claim() == []


def test_jobs_of_one_key_run_one_after_another_in_order(tenant: Tenant) -> None:
    jobs = [make_job(tenant, concurrency_key="k") for _ in range(4)]
    for job in jobs:
        refs = claim()
        assert ids(refs) == {job_uuid(job)}
        assert claim() == []
        end(refs)


def test_a_queue_may_let_more_of_a_key_run(tenant: Tenant) -> None:
    for _ in range(5):
        make_job(tenant, concurrency_key="k")
    limit_queue(tenant, key_concurrency=3)
    refs = claim()
    assert len(refs) == 3
    end(refs[:2])
    assert len(claim()) == 2


def test_a_busy_key_hides_no_other_job(tenant: Tenant) -> None:
    for _ in range(60):
        make_job(tenant, concurrency_key="k")
    last = make_job(tenant)
    limit_queue(tenant, concurrency=2)
    assert job_uuid(last) in ids(claim(2))


def test_a_key_belongs_to_its_queue_and_its_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant, concurrency_key="k")
    make_job(tenant, concurrency_key="k", queue="b")
    make_job(tenant, concurrency_key="k", **HTTP)
    make_job(other_tenant, concurrency_key="k")
    assert len(claim()) == 3
    assert claim(pool="egress") == []


def test_a_key_whose_first_job_is_cancelled_while_it_waits_goes_on(tenant: Tenant) -> None:
    running = make_job(tenant, concurrency_key="k")
    second, third = make_job(tenant, concurrency_key="k"), make_job(tenant, concurrency_key="k")
    refs = claim()
    assert claim() == []
    with as_role("web"):
        cancel_job(tenant.id, job_uuid(second))
    assert claim() == []
    end(refs)
    assert ids(refs) == {job_uuid(running)}
    assert ids(claim()) == {job_uuid(third)}


def test_a_parked_job_is_let_go_on_by_the_sweep(tenant: Tenant) -> None:
    """As after an end that came while a claim found the key busy."""
    job = make_job(tenant, concurrency_key="k")
    LiveJob.objects.update(is_parked=True)
    Lane.objects.update(is_active=False)
    assert claim() == []
    assert reopen() == 1
    assert ids(claim()) == {job_uuid(job)}


def test_more_keys_at_once_are_let_go_on_when_a_queue_allows_it(tenant: Tenant) -> None:
    for _ in range(4):
        make_job(tenant, concurrency_key="k")
    assert len(claim()) == 1
    limit_queue(tenant, key_concurrency=2)
    assert len(claim()) == 1
    limit_queue(tenant, key_concurrency=1)
    assert claim() == []


def test_a_lower_limit_holds_at_once_and_ends_no_run(tenant: Tenant) -> None:
    for _ in range(6):
        make_job(tenant)
    limit_queue(tenant, concurrency=4)
    refs = claim()
    limit_queue(tenant, concurrency=1)
    end(refs[:3])
    assert claim() == []
    end(refs[3:])
    assert len(claim()) == 1


def test_a_paused_queue_starts_nothing_and_goes_on_when_resumed(tenant: Tenant, other_tenant: Tenant) -> None:
    for _ in range(3):
        make_job(tenant)
    limit_queue(tenant, concurrency=2)
    first, second = claim(2)
    make_job(other_tenant)
    running = start([first])
    limit_queue(tenant, paused_at=Now())
    # What was handed out and has not begun comes back; what runs goes on.
    assert start([second]) == []
    assert [ref.tenant_id for ref in claim()] == [other_tenant.id]
    record(*[outcome_of(job) for job in running])
    assert claim() == []
    assert reopen() == 0
    limit_queue(tenant, paused_at=None)
    assert len(claim()) == 2


def test_a_suspended_tenant_starts_nothing_and_goes_on_when_resumed(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant)
    refs = claim()
    suspend_tenant(tenant.id)
    # What was handed out and has not begun comes back.
    assert start(refs) == []
    make_job(other_tenant)
    assert [ref.tenant_id for ref in claim()] == [other_tenant.id]
    assert reopen() == 0
    resume_tenant(tenant.id)
    assert len(claim()) == 1


def test_tenants_share_alike_however_many_queues_each_has(tenant: Tenant, other_tenant: Tenant) -> None:
    for number in range(30):
        make_job(tenant, queue=f"q{number % 5}")
        make_job(other_tenant)
    assert Counter(ref.tenant_id for ref in claim(20)) == {tenant.id: 10, other_tenant.id: 10}


def test_queues_of_a_tenant_share_alike(tenant: Tenant) -> None:
    for _ in range(30):
        make_job(tenant, queue="full")
    quiet = [make_job(tenant, queue="quiet") for _ in range(3)]
    assert {job_uuid(job) for job in quiet} <= ids(claim(6))


def test_who_was_held_back_has_saved_up_no_turns(tenant: Tenant, other_tenant: Tenant) -> None:
    limit_tenant(tenant, quotas={"running": 1})
    for _ in range(40):
        make_job(tenant)
        make_job(other_tenant)
    held = [ref for ref in claim(2) if ref.tenant_id == tenant.id]
    assert len(claim(20)) == 20
    limit_tenant(tenant, quotas={})
    end(held)
    taken = Counter(ref.tenant_id for ref in claim(10))
    assert abs(taken[tenant.id] - taken[other_tenant.id]) <= 2


@pytest.mark.deep
def test_many_tenants_at_their_limit_do_not_hide_one_that_is_not(tenant: Tenant) -> None:
    for _ in range(60):
        full = make_tenant()
        limit_tenant(full, quotas={"running": 0})
        make_job(full)
    make_job(tenant)
    assert [ref.tenant_id for ref in claim()] == [tenant.id]
    assert Share.objects.filter(blocked_by="tenant-concurrency").count() >= 50


def test_a_job_moved_to_later_is_parked_no_more(tenant: Tenant) -> None:
    make_job(tenant, concurrency_key="k")
    second = make_job(tenant, concurrency_key="k")
    claim()
    assert live(second).is_parked
    with as_role("web"):
        change_job(tenant.id, job_uuid(second), JobChange(delay_seconds=60))
    assert not live(second).is_parked
