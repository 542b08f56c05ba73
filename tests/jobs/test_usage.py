"""What a tenant holds is counted by whatever moves it: the counters say what the rows say."""

from __future__ import annotations

import pytest
from django.db import connection

from jobservice.errors import QuotaExceeded
from jobservice.jobs.accept import accept_job, accept_jobs
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.retry import retry_job
from jobservice.jobs.usage import _SQL as SQL
from jobservice.jobs.usage import SLOTS, read_usage, recount_usage
from tenants.quotas import VolumeLimits
from tests.factories import Tenant, make_job, make_submission
from tests.jobs.counting import counted, held
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.roles import as_role
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def of_day(tenant: Tenant) -> int:
    return read_usage(tenant.id).volume.jobs_of_day


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_every_end_is_counted_and_what_runs_leave(tenant: Tenant, other_tenant: Tenant) -> None:
    submitted = {"payload": {"n": 1}, "metadata": {"m": 1}, "callback_url": "http://127.0.0.1:9/", "max_attempts": 1}
    jobs = [make_job(owner, **submitted) for owner in (tenant, other_tenant, tenant)]
    assert counted(tenant.id) == held(tenant.id)
    before = counted(tenant.id)[1]
    assert counted(tenant.id)[0] == 2
    # Runs of two tenants in one transaction, and one that failed.
    runs = start(claim())
    record(outcome_of(runs[0]), outcome_of(runs[1]), outcome_of(runs[2], "failed", error_message="no"))
    assert (counted(tenant.id)[0], counted(other_tenant.id)[0]) == (0, 0)
    assert counted(tenant.id)[1] > before
    for owner in (tenant, other_tenant):
        assert counted(owner.id) == held(owner.id)
    with as_role("web"):
        for job, owner in zip(jobs, (tenant, other_tenant, tenant), strict=True):
            erase_job(owner.id, job_uuid(job))
    assert counted(tenant.id) == counted(other_tenant.id) == (0, 0)
    assert (of_day(tenant), of_day(other_tenant)) == (2, 1)


def test_a_run_that_comes_back_is_one_job_all_the_time(tenant: Tenant) -> None:
    make_job(tenant)
    for kind in ("failed", "snoozed"):
        execute("UPDATE job_live SET state = 'available', due_at = now(), available_at = now()")
        (started,) = start(claim())
        record(outcome_of(started, kind, **({"error_message": "no"} if kind == "failed" else {})))
        assert counted(tenant.id)[0] == 1
        assert counted(tenant.id) == held(tenant.id)


def test_cancelled_expired_and_crashed_jobs_are_counted_out(tenant: Tenant) -> None:
    cancelled = make_job(tenant)
    with as_role("web"):
        cancel_job(tenant.id, job_uuid(cancelled))
    assert counted(tenant.id) == held(tenant.id)
    make_job(tenant, start_deadline_seconds=60)
    execute("UPDATE job_live SET start_deadline_at = now() - interval '1 second'")
    with as_role("dispatcher"):
        assert expire_jobs() == 1
    assert counted(tenant.id)[0] == held(tenant.id)[0] == 0
    crashed = make_job(tenant, max_attempts=1)
    start(claim())
    end_lease(crashed)
    with as_role("dispatcher"):
        reap_leases()
    assert counted(tenant.id) == held(tenant.id)


def test_a_retry_is_one_more_unfinished_job_but_none_of_the_day(tenant: Tenant) -> None:
    job = make_job(tenant)
    record(*[outcome_of(one) for one in start(claim())])
    with as_role("web"):
        retry_job(tenant.id, job_uuid(job))
    assert counted(tenant.id) == held(tenant.id)
    assert (counted(tenant.id)[0], of_day(tenant)) == (1, 1)


def test_a_retry_beyond_the_limit_is_refused_and_leaves_the_job_over(tenant: Tenant) -> None:
    job = make_job(tenant)
    record(*[outcome_of(one) for one in start(claim())])
    with as_role("web"), pytest.raises(QuotaExceeded) as refusal:
        retry_job(tenant.id, job_uuid(job), limits=VolumeLimits(open_jobs=0))
    assert (refusal.value.quota, refusal.value.limit, refusal.value.used) == ("open_jobs", 0, 0)


def test_a_job_that_waits_is_retried_at_the_limit(tenant: Tenant) -> None:
    job = make_job(tenant)
    record(*[outcome_of(one, "failed", error_code="no") for one in start(claim())])
    with as_role("web"):
        shown = retry_job(tenant.id, job_uuid(job), limits=VolumeLimits(open_jobs=0))
    assert shown["state"] == "available"
    assert counted(tenant.id)[0] == 1


def test_replaced_jobs_make_room_for_those_that_replace_them(tenant: Tenant) -> None:
    limits = VolumeLimits(open_jobs=1)
    submission = make_submission(unique={"key": "k", "on_conflict": "replace"})
    with as_role("web"):
        for _ in range(3):
            accept_job(tenant.id, submission, limits=limits)
            assert counted(tenant.id) == held(tenant.id)
        # Each replaces the one before, in one request.
        accept_jobs(tenant.id, [submission] * 3, is_atomic=True, limits=limits)
    assert counted(tenant.id) == held(tenant.id)
    assert (counted(tenant.id)[0], of_day(tenant)) == (1, 6)


def test_a_job_that_is_answered_with_another_takes_no_room(tenant: Tenant) -> None:
    limits = VolumeLimits(open_jobs=1, jobs_per_day=1)
    with as_role("web"):
        for _ in range(2):
            accept_job(tenant.id, make_submission(unique={"key": "k"}), limits=limits)
    assert (counted(tenant.id)[0], of_day(tenant)) == (1, 1)


def test_a_lowered_limit_holds_at_once_however_the_jobs_are_spread(tenant: Tenant) -> None:
    for _ in range(40):
        make_job(tenant)
    with as_role("web"):
        for _ in range(20):
            with pytest.raises(QuotaExceeded) as refusal:
                accept_job(tenant.id, make_submission(), limits=VolumeLimits(open_jobs=40))
            assert refusal.value.used == 40
        for _ in range(3):
            accept_job(tenant.id, make_submission(), limits=VolumeLimits(open_jobs=43))


def test_what_is_used_of_a_day_is_of_that_day_only(tenant: Tenant) -> None:
    limits = VolumeLimits(jobs_per_day=2)
    with as_role("web"):
        for _ in range(2):
            accept_job(tenant.id, make_submission(), limits=limits)
        with pytest.raises(QuotaExceeded):
            accept_job(tenant.id, make_submission(), limits=limits)
    execute("UPDATE tenant_usage SET day = day - 1")
    assert of_day(tenant) == 0
    with as_role("web"):
        accept_job(tenant.id, make_submission(), limits=limits)
    assert of_day(tenant) == 1


def test_results_count_against_the_next_submission(tenant: Tenant) -> None:
    make_job(tenant)
    record(*[outcome_of(one, result=b'"' + b"x" * 5000 + b'"') for one in start(claim())])
    with as_role("web"), pytest.raises(QuotaExceeded) as refusal:
        accept_job(tenant.id, make_submission(), limits=VolumeLimits(stored_bytes=5100))
    assert refusal.value.quota == "stored_bytes"
    assert refusal.value.used == held(tenant.id)[1] > 5100


def test_a_tenant_that_was_never_counted_is_counted_from_its_next_end(tenant: Tenant) -> None:
    make_job(tenant)
    execute("DELETE FROM tenant_usage")
    record(*[outcome_of(one) for one in start(claim())])
    assert counted(tenant.id)[0] == -1
    recount_usage(tenant.id)
    assert counted(tenant.id) == held(tenant.id)


def test_the_migration_counts_what_is_there(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(other_tenant)
    for _ in range(2):
        make_job(tenant, payload="x" * 100, metadata={"m": 1})
    record(*[outcome_of(one) for one in start(claim(2))])
    expected = [counted(owner.id) for owner in (tenant, other_tenant)]
    execute("DELETE FROM tenant_usage")
    _, _, seeding = (SQL / "tenant_usage.sql").read_text().partition("-- What is there already.")
    execute(seeding.partition("\n")[2])
    assert [counted(owner.id) for owner in (tenant, other_tenant)] == expected
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('job_live', 'blob', 'tenant')"
        )
        assert cursor.fetchone() == (True,)


def test_recount_usage_mends_what_drifted_and_says_so(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant):
        make_job(owner)
    right = held(tenant.id)
    assert run("recount_usage", tenant.name).strip() == f"{tenant.name}: nothing to mend."
    execute("UPDATE tenant_usage SET open_jobs = open_jobs + 1, stored_bytes = stored_bytes - 1")
    said = run("recount_usage", tenant.name)
    assert f"open_jobs {right[0] + SLOTS} → {right[0]}" in said
    assert counted(tenant.id) == right
    assert of_day(tenant) == 1
    assert counted(other_tenant.id) != held(other_tenant.id)
    run("recount_usage", "--all")
    assert counted(other_tenant.id) == held(other_tenant.id)
    assert "nothing to mend" in run("recount_usage", tenant.name)


def test_recount_usage_asks_for_one_tenant_or_all(tenant: Tenant) -> None:
    for arguments in ((), (tenant.name, "--all")):
        assert "TENANT or --all" in refused("recount_usage", *arguments)


def test_the_parts_of_a_limit_are_the_limit(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        for limit in (0, 1, SLOTS - 1, SLOTS, 100, 100_000):
            cursor.execute(
                "SELECT sum(usage_share(%s, slot)) FROM generate_series(0, %s) AS s (slot)", [limit, SLOTS - 1]
            )
            assert cursor.fetchone() == (limit,)
        cursor.execute("SELECT usage_share(NULL, 3)")
        assert cursor.fetchone() == (None,)
