"""Quotas of volume are exact: whatever is asked for at once, as much is accepted as there is room for, and no more."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from jobservice.errors import JobserviceError, QuotaExceeded
from jobservice.jobs import usage
from jobservice.jobs.accept import accept_job, accept_jobs
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.retry import retry_job
from jobservice.jobs.store import Refused
from jobservice.jobs.usage import SLOTS, Volume, read_usage, recount_usage
from tenants.context import tenant_tx
from tenants.quotas import VolumeLimits
from tests.factories import Tenant, make_submission, make_tenant
from tests.jobs.counting import counted, held
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.races.acting import acting

Race = Callable[..., list[Any]]
THREADS, LIMIT = 20, 100


def accept(tenant: Tenant, limits: VolumeLimits, **fields: Any) -> str:
    """201, or the quota that refuses it."""
    try:
        accept_job(tenant.id, make_submission(**fields), limits=limits)
    except QuotaExceeded as refusal:
        return refusal.quota
    return "201"


@pytest.mark.parametrize("name", ["open_jobs", "jobs_per_day"])
def test_of_two_hundred_at_once_exactly_a_hundred_are_accepted(racing_tenant: Tenant, race: Race, name: str) -> None:
    limits = VolumeLimits(**{name: LIMIT})
    answers: list[str] = []

    def accept_ten() -> None:
        answers.extend(accept(racing_tenant, limits) for _ in range(10))

    race("web", *[accept_ten] * THREADS)
    assert Counter(answers) == {"201": LIMIT, name: 10 * THREADS - LIMIT}
    assert LiveJob.objects.filter(tenant_id=racing_tenant.id).count() == LIMIT
    assert counted(racing_tenant.id) == held(racing_tenant.id)


def test_bytes_are_as_exact(racing_tenant: Tenant, race: Race) -> None:
    accept(racing_tenant, VolumeLimits(), payload="x" * 1000)
    each = held(racing_tenant.id)[1]
    limits = VolumeLimits(stored_bytes=each * 40 + each // 2)
    answers: list[str] = []

    def accept_some() -> None:
        answers.extend(accept(racing_tenant, limits, payload="x" * 1000) for _ in range(8))

    race("web", *[accept_some] * 10)
    assert Counter(answers) == {"201": 39, "stored_bytes": 41}
    assert counted(racing_tenant.id) == held(racing_tenant.id)


def test_groups_at_once_fill_the_room_to_the_last_job(racing_tenant: Tenant, race: Race) -> None:
    limits = VolumeLimits(open_jobs=LIMIT)

    def accept_group() -> list[dict[str, Any] | JobserviceError]:
        group = [make_submission(payload=number) for number in range(15)]
        return accept_jobs(racing_tenant.id, group, is_atomic=False, limits=limits)

    groups = race("web", *[accept_group] * 10)
    for answers in groups:
        is_refused = [isinstance(answer, JobserviceError) for answer in answers]
        # The first that fit are those that are accepted.
        assert is_refused == sorted(is_refused)
    assert sum(isinstance(answer, dict) for answers in groups for answer in answers) == LIMIT
    assert Job.objects.filter(tenant_id=racing_tenant.id).count() == LIMIT
    assert counted(racing_tenant.id) == held(racing_tenant.id)


def test_atomic_groups_at_once_are_stored_whole_or_not_at_all(racing_tenant: Tenant, race: Race) -> None:
    limits = VolumeLimits(open_jobs=LIMIT)

    def accept_group() -> bool:
        try:
            accept_jobs(racing_tenant.id, [make_submission()] * 15, is_atomic=True, limits=limits)
        except Refused as refused:
            return not all(isinstance(error, QuotaExceeded) for errors in refused.errors for error in errors)
        return True

    assert Counter(race("web", *[accept_group] * 10)) == {True: 6, False: 4}
    assert counted(racing_tenant.id) == held(racing_tenant.id) == (90, held(racing_tenant.id)[1])


def test_retries_take_room_from_accepts(racing_tenant: Tenant, race: Race) -> None:
    jobs = [accept_job(racing_tenant.id, make_submission()) for _ in range(10)]
    record(*[outcome_of(one) for one in start(claim())])
    limits = VolumeLimits(open_jobs=10)

    def retry(job: dict[str, Any]) -> str:
        try:
            retry_job(racing_tenant.id, job_uuid(job), limits=limits)
        except QuotaExceeded as refusal:
            return refusal.quota
        return "201"

    answers = race("web", *[lambda job=job: retry(job) for job in jobs], *[lambda: accept(racing_tenant, limits)] * 10)
    assert Counter(answers) == {"201": 10, "open_jobs": 10}
    assert counted(racing_tenant.id) == held(racing_tenant.id)


def test_whoever_moves_jobs_of_several_tenants_at_once_loses_no_count_and_blocks_nobody(
    racing_tenant: Tenant, race: Race
) -> None:
    """Accepts near the limit lock every slot, records span tenants, and one recounts all the time."""
    tenants = [racing_tenant, make_tenant(), make_tenant()]
    limits = VolumeLimits(open_jobs=25)
    over = threading.Event()

    def submit() -> None:
        for _ in range(40):
            tenant = random.choice(tenants)
            accept_jobs(
                tenant.id, [make_submission(payload="x" * random.randrange(50))] * 3, is_atomic=False, limits=limits
            )

    def work() -> None:
        while not over.is_set():
            record(*[outcome_of(one) for one in start(claim(20))])

    def tidy() -> None:
        while not over.is_set():
            for live in LiveJob.objects.filter(state="available").order_by("?")[:2]:
                _quietly(cancel_job, live.tenant_id, live.job_id)
            for job in Job.objects.filter(final_state__isnull=False).order_by("?")[:4]:
                _quietly(erase_job, job.tenant_id, job.id)

    def recount() -> None:
        while not over.is_set():
            for tenant in tenants:
                before, after = recount_usage(tenant.id)
                assert before == after

    submitting = threading.Barrier(3, action=over.set)

    def submit_all() -> None:
        try:
            acting("web", submit)()
            submitting.wait(timeout=50)
        finally:
            over.set()

    race("owner", *[submit_all] * 3, work, work, tidy, recount)
    for tenant in tenants:
        assert counted(tenant.id) == held(tenant.id)


def test_counts_of_several_tenants_at_once_do_not_block_each_other(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Always the same slot, so that they meet.
    monkeypatch.setattr(usage, "random", SimpleNamespace(randrange=lambda _slots: 0))
    tenants = [racing_tenant.id, *(make_tenant().id for _ in range(5))]
    threads, times = 6, 15

    def count() -> None:
        for _ in range(times):
            with transaction.atomic():
                shuffled = random.sample(tenants, len(tenants))
                usage.count_usage({tenant_id: Volume(1, 2) for tenant_id in shuffled})

    race("dispatcher", *[count] * threads)
    assert [counted(tenant_id) for tenant_id in tenants] == [(threads * times, 2 * threads * times)] * len(tenants)


def _quietly(act: Callable[[UUID, UUID], Any], tenant_id: UUID, job_id: UUID) -> None:
    try:
        act(tenant_id, job_id)
    except JobserviceError:
        return


def test_a_job_that_is_rolled_back_was_never_counted(racing_tenant: Tenant) -> None:
    with tenant_tx(racing_tenant.id):
        accept_job(racing_tenant.id, make_submission())
        transaction.set_rollback(True)
    assert read_usage(racing_tenant.id).volume.open_jobs == 0


def test_accepts_far_from_the_limit_do_not_wait_for_each_other(racing_tenant: Tenant, race: Race) -> None:
    """One transaction stays open after it counted; others find another slot but for the odd one."""
    accept(racing_tenant, VolumeLimits())
    counting, may_end = threading.Event(), threading.Event()
    quick = [threading.Event() for _ in range(SLOTS)]

    def stay() -> None:
        with tenant_tx(racing_tenant.id):
            accept_job(racing_tenant.id, make_submission())
            counting.set()
            assert may_end.wait(30)

    def pass_by(done: threading.Event) -> None:
        assert counting.wait(30)
        accept_job(racing_tenant.id, make_submission())
        done.set()

    def look() -> int:
        for done in quick:
            done.wait(2)
        count = sum(done.is_set() for done in quick)
        may_end.set()
        return count

    *_, count = race("web", stay, *[lambda done=done: pass_by(done) for done in quick], look)
    assert count >= SLOTS // 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenant_usage WHERE open_jobs <> 0")
        assert cursor.fetchone() != (1,)
