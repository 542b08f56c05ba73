"""What doctor says of the queue: leases nobody took back, work nobody hands out, lanes that sleep over their jobs."""

from __future__ import annotations

import pytest
from django.db import connection

from jobservice.jobs.cancel import cancel_job
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.jobs.limiting import limit_queue, limit_tenant
from tests.jobs.throttling import put_endpoint, throttle, wait_out
from tests.roles import as_role
from tests.workers.doctor.reading import find, write

pytestmark = pytest.mark.django_db
CHECKS = ("leases", "time-limits", "deadlines-and-cancels", "due-jobs", "lanes", "limits", "waiting")


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
    assert find("leases").status == "problem"
    write("UPDATE job_live SET lease_until = clock_timestamp() - interval '3 hours'")
    assert find("leases").detail == f"Leases ended and were not taken back: 1 job, {job['id']} for 3 h."


def test_a_deliverys_ended_lease_is_found(tenant: Tenant) -> None:
    make_pending_delivery(tenant)
    write("UPDATE delivery_live SET state = 'dispatched', lease_until = clock_timestamp() - interval '3 hours'")
    assert "1 delivery, dlv_" in find("leases").detail
    assert "for 3 h" in find("leases").detail


def test_a_run_past_its_time_limit_is_found(tenant: Tenant) -> None:
    job = make_job(tenant, timeout_seconds=100)
    start(claim())
    write("UPDATE job_live SET started_at = clock_timestamp() - interval '640 seconds'")
    assert find("time-limits").status == "ok"
    write("UPDATE job_live SET started_at = clock_timestamp() - interval '701 seconds'")
    assert find("time-limits").status == "problem"
    assert job["id"] in find("time-limits").detail


def test_a_job_that_outlived_its_deadline_to_start_is_found(tenant: Tenant) -> None:
    job = make_job(tenant, start_deadline_seconds=60)
    write("UPDATE job_live SET start_deadline_at = clock_timestamp() - interval '20 seconds'")
    assert find("deadlines-and-cancels").status == "ok", "a dispatcher looks each second, and may be busy"
    write("UPDATE job_live SET start_deadline_at = clock_timestamp() - interval '40 seconds'")
    assert find("deadlines-and-cancels").status == "problem"
    write("UPDATE job_live SET start_deadline_at = clock_timestamp() - interval '3 hours'")
    detail = find("deadlines-and-cancels").detail
    assert detail == f"Jobs should be over and are not: 1 job past their deadline to start, {job['id']} for 3 h."


def test_a_run_that_heeds_no_cancel_is_found(tenant: Tenant) -> None:
    job = make_job(tenant)
    start(claim())
    with as_role("web"):
        cancel_job(tenant.id, job_uuid(job))
    assert find("deadlines-and-cancels").status == "ok"
    write("UPDATE event SET at = clock_timestamp() - interval '90 seconds'")
    finding = find("deadlines-and-cancels")
    assert (finding.status, f"1 job asked to stop, {job['id']}" in finding.detail) == ("problem", True)
    write("UPDATE job_live SET is_async = true")
    assert find("deadlines-and-cancels").status == "ok", "its endpoint is told when it asks"


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
    write("UPDATE job_live SET state = 'suspended', lease_until = NULL, suspended_reason = 'type-disabled'")
    assert find("lanes").status == "ok", "an idle lane may sleep"


def test_a_lane_blocked_past_its_time_is_found(tenant: Tenant) -> None:
    make_job(tenant)
    write("UPDATE lane SET blocked_by = 'queue-rate', blocked_until = clock_timestamp() + interval '1 minute'")
    assert find("lanes").status == "ok"
    write("UPDATE lane SET blocked_until = clock_timestamp() - interval '1 minute'")
    assert "(blocked)" in find("lanes").detail


@pytest.fixture
def quick_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.doctor.queue.SECOND_LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("quick_second_look")
def test_a_limit_that_holds_is_no_fault_and_one_that_holds_back_for_nothing_is(tenant: Tenant) -> None:
    for _ in range(3):
        make_job(tenant, queue="mail", concurrency_key="k")
    limit_queue(tenant, "mail", concurrency=1)
    limit_tenant(tenant, quotas={"running": 1})
    claim()
    assert claim() == []
    assert find("limits").status == "ok"
    for wrong in (
        "UPDATE tenant SET quotas = '{}'",
        "UPDATE queue SET concurrency = NULL; UPDATE lane SET blocked_by = 'queue-concurrency'",
        "UPDATE lane SET blocked_by = NULL; UPDATE queue SET key_concurrency = 2",
    ):
        write(wrong)
        finding = find("limits")
        assert (finding.status, "though there is room" in finding.detail) == ("problem", True)


@pytest.mark.usefixtures("quick_second_look")
def test_jobs_that_wait_for_their_endpoint_are_no_fault_unless_its_pause_is_long_over(tenant: Tenant) -> None:
    put_endpoint(tenant)
    throttle(tenant)
    make_job(tenant, type="work.do", queue="mail", concurrency_key="k")
    assert claim(pool="egress") == []
    assert find("limits").status == "ok"
    wait_out(60)
    assert find("limits").status == "ok", "a dispatcher looks each second, and may be busy"
    for wrong in (
        "UPDATE endpoint_throttle SET let_go_at = let_go_at - interval '31 seconds'",
        "DELETE FROM endpoint_throttle",
    ):
        write(wrong)
        finding = find("limits")
        assert (finding.status, "though there is room" in finding.detail) == ("problem", True)
        assert "queue mail" in finding.detail


@pytest.mark.usefixtures("quick_second_look")
@pytest.mark.parametrize("lowered", ["tenant", "queue", "key"])
def test_more_than_a_lowered_limit_is_a_warning(tenant: Tenant, lowered: str) -> None:
    for _ in range(3):
        make_job(tenant, queue="mail", concurrency_key="k")
    limit_queue(tenant, "mail", key_concurrency=3)
    claim()
    match lowered:
        case "tenant":
            limit_tenant(tenant, quotas={"running": 2})
        case "queue":
            limit_queue(tenant, "mail", concurrency=2)
        case "key":
            limit_queue(tenant, "mail", key_concurrency=2)
    finding = find("limits")
    assert (finding.status, "More jobs are under way" in finding.detail) == ("warning", True)


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
