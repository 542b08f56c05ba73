"""What doctor says of the queue: leases nobody took back, work nobody hands out, lanes that sleep over their jobs."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, outcome_of, record, start
from tests.workers.doctor.reading import find, write

pytestmark = pytest.mark.django_db
CHECKS = ("leases", "time-limits", "due-jobs", "lanes", "waiting")


def make_pending_delivery(tenant: Tenant) -> None:
    make_job(tenant, callback_url="http://127.0.0.1:9/done")
    record(*[outcome_of(started) for started in start(claim())])


def test_jobs_on_their_way_are_no_fault(tenant: Tenant) -> None:
    make_pending_delivery(tenant)
    make_job(tenant, delay_seconds=100)
    make_job(tenant)
    make_job(tenant)
    start(claim(1))
    claim(1)
    make_job(tenant)
    assert {name: find(name).status for name in CHECKS} == dict.fromkeys(CHECKS, "ok")


@pytest.mark.parametrize("is_started", [False, True])
def test_a_lease_that_ended_long_ago_is_found(tenant: Tenant, is_started: bool) -> None:
    job = make_job(tenant)
    refs = claim()
    if is_started:
        start(refs)
    end_lease(job)
    assert find("leases").status == "ok", "the reaper has a moment"
    write("UPDATE job_live SET lease_until = clock_timestamp() - interval '1 minute'")
    finding = find("leases")
    assert finding.status == "problem"
    assert finding.detail == f"Leases ended and were not taken back: 1 job, {job['id']} for 60 s."


def test_a_deliverys_ended_lease_is_found(tenant: Tenant) -> None:
    make_pending_delivery(tenant)
    write("UPDATE delivery_live SET state = 'dispatched', lease_until = clock_timestamp() - interval '3 hours'")
    assert "1 delivery, dlv_" in find("leases").detail
    assert "for 3 h" in find("leases").detail


def test_a_run_past_its_time_limit_is_found(tenant: Tenant) -> None:
    job = make_job(tenant, timeout_seconds=5)
    start(claim())
    write("UPDATE job_live SET started_at = clock_timestamp() - interval '604 seconds'")
    assert find("time-limits").status == "ok"
    write("UPDATE job_live SET started_at = clock_timestamp() - interval '606 seconds'")
    assert find("time-limits").status == "problem"
    assert job["id"] in find("time-limits").detail


def test_a_due_job_that_nobody_makes_available_is_found(tenant: Tenant) -> None:
    make_job(tenant, delay_seconds=100)
    write("UPDATE job_live SET due_at = clock_timestamp() - interval '1 minute'")
    assert find("due-jobs").status == "problem"
    assert find("due-jobs").detail.startswith("1 job became due")


def test_a_lane_that_sleeps_over_its_job_is_found(tenant: Tenant) -> None:
    make_job(tenant, queue="mail")
    write("UPDATE lane SET is_active = false")
    finding = find("lanes")
    assert (finding.status, "queue mail (asleep)" in finding.detail) == ("problem", True)
    claim()
    write("UPDATE job_live SET state = 'suspended', lease_until = NULL, suspended_reason = 'test'")
    assert find("lanes").status == "ok", "an idle lane may sleep"


def test_a_lane_blocked_past_its_time_is_found(tenant: Tenant) -> None:
    make_job(tenant)
    write("UPDATE lane SET blocked_by = 'rate', blocked_until = clock_timestamp() + interval '1 minute'")
    assert find("lanes").status == "ok"
    write("UPDATE lane SET blocked_until = clock_timestamp() - interval '1 minute'")
    assert "(blocked)" in find("lanes").detail


def test_work_that_waits_for_long_is_a_warning(tenant: Tenant) -> None:
    make_pending_delivery(tenant)
    make_job(tenant)
    write("UPDATE job_live SET due_at = clock_timestamp() - interval '1 day'")
    write("UPDATE delivery_live SET due_at = clock_timestamp() - interval '20 minutes'")
    finding = find("waiting")
    assert finding.status == "warning"
    assert finding.detail == (
        "Work has waited for long: pool deliveries, 1 lane, up to 20 min; pool handlers, 1 lane, up to 24 h."
    )


def test_a_suspended_tenants_jobs_may_wait(tenant: Tenant) -> None:
    make_job(tenant)
    write("UPDATE job_live SET due_at = clock_timestamp() - interval '1 day'")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tenant SET status = 'suspended'")
    assert find("waiting").status == "ok"
