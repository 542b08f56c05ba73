"""Statistics: each transition is counted once, by minute, hour and day, by queue and type and as a whole."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from jobservice.jobs.accept import accept_jobs
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.erasure import erase_tenant
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.models import LiveJob
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.retry import retry_job
from jobservice.jobs.statistics import DAY, HOUR, KEEP_SECONDS, MINUTE, fold_statistics, prune_statistics
from tenants.context import tenant_tx
from tests.factories import Tenant, make_job, make_submission
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.jobs.folding import STEPS, counted_everywhere, durations, fold, run
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def test_a_job_is_counted_when_it_is_accepted_and_when_it_ends(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant, queue="mail")
    make_job(other_tenant)
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1}
    (started, _) = sorted(start(claim()), key=lambda job: job.tenant_id != tenant.id)
    record(outcome_of(started))
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1, "completed": 1}
    assert counted_everywhere(other_tenant.id) == {"accepted": 1}
    assert [durations(tenant.id, column) for column in ("waits", "runs")] == [1, 1]
    assert run("SELECT DISTINCT queue, type FROM statistic WHERE tenant_id = %s ORDER BY 1, 2", [tenant.id]) == [
        ("", ""),
        ("", "echo"),
        ("mail", ""),
        ("mail", "echo"),
    ]
    assert run("SELECT count(*) FROM statistic_delta") == [(0,)]


def test_a_group_is_one_row_for_each_queue_and_type(tenant: Tenant) -> None:
    jobs = [make_submission(queue=queue) for queue in ("a", "b", "a", "a")]
    accept_jobs(tenant.id, jobs, is_atomic=True)
    assert run("SELECT queue, accepted FROM statistic_delta ORDER BY queue") == [("a", 3), ("b", 1)]
    record(*[outcome_of(started) for started in start(claim())])
    rows = run("SELECT queue, completed, cardinality(waits), cardinality(runs) FROM statistic_delta WHERE accepted = 0")
    assert sorted(rows) == [("a", 3, 3, 3), ("b", 1, 1, 1)]


def test_a_failed_run_is_a_retry_until_the_last_one_discards_the_job(tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=2, retry={"initial_seconds": 0, "jitter": 0})
    record(outcome_of(start(claim())[0], "failed", error_code="no"))
    LiveJob.objects.filter(job_id=job_uuid(job)).update(state="available")
    record(outcome_of(start(claim())[0], "timed-out"))
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1, "retried": 1, "discarded": 1}
    # Of the first start, and of each run.
    assert [durations(tenant.id, column) for column in ("waits", "runs")] == [1, 2]


def test_a_crash_that_the_dispatcher_finds_is_a_retry(tenant: Tenant) -> None:
    job = make_job(tenant)
    start(claim())
    end_lease(job)
    with as_role("dispatcher"):
        reap_leases()
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1, "retried": 1}


@pytest.mark.parametrize("kind", ["released", "snoozed"])
def test_a_run_that_counts_nothing_is_not_counted(tenant: Tenant, kind: str) -> None:
    make_job(tenant)
    record(outcome_of(start(claim())[0], kind))  # type: ignore[arg-type]
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1}


def test_a_cancelled_and_an_expired_job_have_no_durations(tenant: Tenant) -> None:
    cancel_job(tenant.id, job_uuid(make_job(tenant)))
    late = make_job(tenant, start_deadline_seconds=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job_live SET start_deadline_at = clock_timestamp() - interval '1 s' WHERE job_id = %s",
            [job_uuid(late)],
        )
    with as_role("dispatcher"):
        assert expire_jobs() == 1
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 2, "cancelled": 2}
    assert durations(tenant.id, "waits") == durations(tenant.id, "runs") == 0


def test_a_job_that_was_retried_after_its_end_has_two_ends(tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=1)
    record(outcome_of(start(claim())[0], "failed"))
    retry_job(tenant.id, job_uuid(job))
    record(outcome_of(start(claim())[0]))
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1, "discarded": 1, "completed": 1}


def test_an_outcome_that_came_too_late_is_not_counted(tenant: Tenant) -> None:
    make_job(tenant)
    (started,) = start(claim())
    record(outcome_of(started), outcome_of(started))
    record(outcome_of(started))
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1, "completed": 1}


def test_what_is_rolled_back_is_not_counted(tenant: Tenant) -> None:
    with transaction.atomic():
        make_job(tenant)
        transaction.set_rollback(True)
    fold()
    assert counted_everywhere(tenant.id) == {}


def test_an_erased_job_stays_counted(tenant: Tenant) -> None:
    job = make_job(tenant)
    record(outcome_of(start(claim())[0]))
    erase_job(tenant.id, job_uuid(job))
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 1, "completed": 1}


def test_folding_again_changes_nothing(tenant: Tenant) -> None:
    make_job(tenant)
    fold()
    before = run("SELECT * FROM statistic ORDER BY tenant_id, step_seconds, queue")
    fold()
    assert run("SELECT * FROM statistic ORDER BY tenant_id, step_seconds, queue") == before


def test_what_is_folded_in_parts_is_the_same(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobservice.jobs.statistics.FOLD_LIMIT", 2)
    for _ in range(5):
        make_job(tenant)
    with as_role("dispatcher"):
        assert fold_statistics()
    assert counted_everywhere(tenant.id) == {"accepted": 2}
    fold()
    assert counted_everywhere(tenant.id) == {"accepted": 5}


def test_a_count_that_comes_late_goes_into_its_own_minute(tenant: Tenant) -> None:
    make_job(tenant)
    fold()
    make_job(tenant)
    run("UPDATE statistic_delta SET minute = minute - interval '90 minutes'")
    fold()
    rows = run("SELECT accepted FROM statistic WHERE step_seconds = %s AND queue = '' AND type = ''", [MINUTE])
    assert rows == [(1,), (1,)]
    assert counted_everywhere(tenant.id) == {"accepted": 2}


def test_each_step_is_kept_for_its_own_time(tenant: Tenant) -> None:
    make_job(tenant)
    fold()
    for step in STEPS:
        run(
            "INSERT INTO statistic SELECT tenant_id, step_seconds, at - %s, queue, type, accepted, completed, "
            "discarded, cancelled, retried, waits, runs FROM statistic WHERE step_seconds = %s",
            [timedelta(seconds=KEEP_SECONDS[step] + 2 * step), step],
        )
    assert run("SELECT count(*) FROM statistic") == [(24,)]
    with as_role("dispatcher"):
        assert not prune_statistics()
    assert run("SELECT count(*) FROM statistic") == [(12,)]
    assert counted_everywhere(tenant.id) == {"accepted": 1}
    assert {step: keep // DAY for step, keep in KEEP_SECONDS.items()} == {MINUTE: 2, HOUR: 60, DAY: 731}


def test_the_web_sees_the_statistics_of_its_tenant_only(tenant: Tenant, other_tenant: Tenant) -> None:
    make_job(tenant)
    make_job(other_tenant)
    fold()
    with as_role("web"), tenant_tx(tenant.id):
        assert run("SELECT DISTINCT tenant_id FROM statistic") == [(tenant.id,)]
    with as_role("web"):
        assert run("SELECT count(*) FROM statistic") == [(0,)]


@pytest.mark.parametrize("role", ["web", "worker"])
def test_nobody_but_the_dispatcher_reads_what_is_not_folded(tenant: Tenant, role: str) -> None:
    with as_role(role), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        run("SELECT count(*) FROM statistic_delta")


def test_the_erasure_of_a_tenant_takes_its_statistics(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant):
        make_job(owner, max_attempts=1)
    record(*[outcome_of(one, "failed", error_code="no", error_message="no") for one in start(claim())])
    fold()
    record(*[outcome_of(one, "failed", error_code="no", error_message="no") for one in start(claim())])
    make_job(tenant)
    erase_tenant(tenant.id, progress=lambda _: None)
    fold()
    for table in ("statistic", "statistic_delta", "error_group", "error_count", "error_delta"):
        assert run(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", [tenant.id]) == [(0,)], table
    assert counted_everywhere(other_tenant.id) == {"accepted": 1, "discarded": 1}


def test_what_an_erased_tenant_left_is_dropped_by_the_fold(tenant: Tenant) -> None:
    make_job(tenant)
    run("UPDATE tenant SET status = 'erased', erased_at = now() WHERE id = %s", [tenant.id])
    fold()
    assert counted_everywhere(tenant.id) == {}
    assert run("SELECT count(*) FROM statistic_delta") == [(0,)]
