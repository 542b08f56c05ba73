"""What doctor says of ends: a job that is both live and over, or neither, or told twice, or run too often."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.ids import TENANT, show_id
from jobservice.jobs.rescue import reap_leases
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.roles import as_role
from tests.tenants.commands import run
from tests.workers.doctor.reading import find, write

pytestmark = pytest.mark.django_db
CHECKS = (
    "live-jobs",
    "unfinished-jobs",
    "terminal-events",
    "attempts",
    "unique-keys",
    "quotas",
    "event-deliveries",
    "live-deliveries",
)
KEEP_LIVE = "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM job_live"
KEEP_EVENT = "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM event"


def finish(tenant: Tenant, **fields: object) -> dict[str, object]:
    job = make_job(tenant, **fields)
    record(*[outcome_of(started) for started in start(claim())])
    return job


def test_jobs_in_every_part_of_their_life_are_no_fault(tenant: Tenant) -> None:
    finish(tenant, callback_url="http://127.0.0.1:9/done")
    make_job(tenant)
    record(*[outcome_of(started, "failed", error_code="handler-error") for started in start(claim())])
    crashed = make_job(tenant)
    start(claim())
    end_lease(crashed)
    with as_role("dispatcher"):
        reap_leases()
    start(claim())
    make_job(tenant)
    claim()
    make_job(tenant)
    make_job(tenant, delay_seconds=10)
    assert {name: find(name).status for name in CHECKS} == dict.fromkeys(CHECKS, "ok")


def test_unique_keys_in_every_part_of_their_life_are_no_fault(tenant: Tenant) -> None:
    finish(tenant, unique={"key": "over"})
    finish(tenant, unique={"key": "period", "period_seconds": 60})
    make_job(tenant, unique={"key": "started", "while": "waiting"})
    start(claim())
    make_job(tenant, unique={"key": "waits", "while": "waiting"})
    make_job(tenant, unique={"key": "replaced"})
    make_job(tenant, unique={"key": "replaced", "on_conflict": "replace"})
    assert find("unique-keys").status == "ok"


def test_a_live_job_without_its_unique_key_is_found(tenant: Tenant) -> None:
    job = make_job(tenant, unique={"key": "k"})
    write("DELETE FROM unique_claim")
    finding = find("unique-keys")
    assert finding.status == "problem"
    assert finding.detail.startswith("1 job live without the unique key")
    assert job["id"] in finding.detail


def test_a_unique_key_that_was_not_freed_is_found_and_the_fix_frees_it(tenant: Tenant, api: Any) -> None:
    job = finish(tenant, unique={"key": "k", "period_seconds": 60})
    write("UPDATE unique_claim SET held_while = 'unfinished'")
    assert find("unique-keys").status == "ok"
    write("UPDATE unique_claim SET expires_at = NULL")
    finding = find("unique-keys")
    assert finding.detail.startswith("1 job over or started, and still in the way of others with their unique key")
    assert finding.detail.endswith(f"such as {job['id']}.")
    assert finding.fix.startswith("Erase a job that is over, which frees its key")
    assert api.delete(f"/v1/jobs/{job['id']}", key=tenant.api_key).status_code == 204
    assert find("unique-keys").status == "ok"


def test_a_wrong_count_of_unfinished_jobs_is_found_and_the_fix_mends_it(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, tenant, other_tenant):
        make_job(owner)
    assert find("quotas").status == "ok"
    write(f"UPDATE tenant_usage SET open_jobs = open_jobs + 1 WHERE slot = 0 AND tenant_id = '{tenant.id}'")
    finding = find("quotas")
    assert finding.status == "problem"
    shown = show_id(TENANT, tenant.id)
    assert finding.detail == f"1 tenant with a wrong count of unfinished jobs, such as {shown}: counted 3, there are 2."
    assert finding.fix.startswith("manage.py recount_usage")
    run("recount_usage", tenant.name)
    assert find("quotas").status == "ok"


def test_limits_that_are_not_what_plan_and_own_quotas_make_are_found_and_the_fix_mends_them(tenant: Tenant) -> None:
    run("set_plan", "pro", "running=50", "queues=null")
    run("set_quota", tenant.name, "--plan", "pro", "running=7")
    assert find("quotas").status == "ok"
    for wrong in ('{"running": 50, "queues": null}', '{"running": 7}', "{}"):
        write(f"UPDATE tenant SET quotas = '{wrong}' WHERE id = '{tenant.id}'")
        finding = find("quotas")
        assert finding.status == "problem"
        assert finding.detail == (
            f"1 tenant with other limits than its plan and its own quotas make, such as {show_id(TENANT, tenant.id)}."
        )
        assert finding.fix.startswith("manage.py set_quota TENANT")
        assert run("set_quota", tenant.name) == "plan = pro\nqueues = null\nrunning = 7\n"
        assert find("quotas").status == "ok"


def test_jobs_that_were_never_counted_are_found(tenant: Tenant) -> None:
    make_job(tenant)
    write("DELETE FROM tenant_usage")
    assert find("quotas").detail.endswith("counted 0, there are 1.")


def test_a_live_row_of_an_ended_job_is_found(tenant: Tenant) -> None:
    job = make_job(tenant)
    refs = claim()
    write(KEEP_LIVE)
    record(*[outcome_of(started) for started in start(refs)])
    write("INSERT INTO job_live SELECT * FROM kept")
    assert find("live-jobs").detail == f"1 job live though over, such as {job['id']}."


def test_a_live_row_without_its_job_or_lane_is_found(tenant: Tenant) -> None:
    make_job(tenant)
    write("UPDATE job_live SET lane_id = lane_id + 1000")
    assert "1 job live in no lane" in find("live-jobs").detail
    write("DELETE FROM job")
    assert "1 job live without a job" in find("live-jobs").detail


def test_a_job_neither_over_nor_live_is_found(tenant: Tenant) -> None:
    job = make_job(tenant)
    write("DELETE FROM job_live")
    finding = find("unfinished-jobs")
    assert finding.status == "problem"
    assert finding.detail == f"1 job neither over nor live: it will never run, such as {job['id']}."


def test_an_end_without_its_event_is_found(tenant: Tenant) -> None:
    job = finish(tenant)
    write("DELETE FROM event")
    assert find("terminal-events").detail == f"1 job over without its event, such as {job['id']}."


def test_an_end_whose_event_says_something_else_is_found(tenant: Tenant) -> None:
    finish(tenant)
    write("UPDATE event SET type = 'job.discarded'")
    assert "over without its event" in find("terminal-events").detail


def test_an_end_told_twice_is_found(tenant: Tenant) -> None:
    finish(tenant)
    write(KEEP_EVENT)
    write("UPDATE kept SET id = uuid7_at(clock_timestamp())")
    write("INSERT INTO event SELECT * FROM kept")
    assert "1 job over with more than one event" in find("terminal-events").detail


def test_an_earlier_end_of_a_job_that_was_retried_is_no_fault(tenant: Tenant) -> None:
    finish(tenant)
    write(KEEP_EVENT)
    write("UPDATE kept SET id = uuid7_at(clock_timestamp()), epoch = epoch - 1, type = 'job.discarded'")
    write("INSERT INTO event SELECT * FROM kept")
    assert find("terminal-events").status == "ok"


def test_a_live_job_whose_end_was_told_is_found(tenant: Tenant) -> None:
    job = finish(tenant)
    write(KEEP_EVENT)
    other = make_job(tenant)
    claim()
    write("UPDATE kept SET id = uuid7_at(clock_timestamp()), job_id = %(id)s", id=job_uuid(other))
    write("INSERT INTO event SELECT * FROM kept")
    assert find("terminal-events").detail == f"1 job live with the event of an end, such as {other['id']}."
    assert job["id"] != other["id"]


def test_a_claim_recorded_twice_is_found(tenant: Tenant) -> None:
    finish(tenant)
    write("CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM attempt")
    write("UPDATE kept SET id = uuid7_at(clock_timestamp())")
    write("INSERT INTO attempt SELECT * FROM kept")
    assert "1 job with one claim recorded twice" in find("attempts").detail


def test_a_job_run_too_often_is_found(tenant: Tenant) -> None:
    finish(tenant, max_attempts=2)
    write("UPDATE job SET attempt = 5, crash_count = 3")
    assert find("attempts").status == "ok"
    write("UPDATE job SET attempt = 6")
    assert "run more often than its attempts and crashes allow" in find("attempts").detail
    write("UPDATE job SET crash_count = 4")
    assert "crashed more often" in find("attempts").detail


def test_an_event_without_its_delivery_is_found(tenant: Tenant) -> None:
    finish(tenant)
    finish(tenant, callback_url="http://127.0.0.1:9/done")
    write("CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM delivery")
    write("DELETE FROM delivery")
    assert find("event-deliveries").detail.startswith("1 end of jobs with a callback without the one delivery")
    assert "1 delivery live without a delivery" in find("live-deliveries").detail
    write("INSERT INTO delivery SELECT * FROM kept")
    assert find("event-deliveries").status == "ok"
    write("UPDATE kept SET id = uuid7_at(clock_timestamp())")
    write("INSERT INTO delivery SELECT * FROM kept")
    assert find("event-deliveries").status == "problem", "one, not two"


def test_a_delivery_neither_over_nor_live_or_both_is_found(tenant: Tenant) -> None:
    finish(tenant, callback_url="http://127.0.0.1:9/done")
    write("UPDATE delivery SET final_state = 'delivered', finished_at = clock_timestamp()")
    assert "1 delivery live though over, such as dlv_" in find("live-deliveries").detail
    write("DELETE FROM delivery_live")
    assert find("live-deliveries").status == "ok"
    write("UPDATE delivery SET final_state = NULL, finished_at = NULL")
    assert "1 delivery neither over nor live, such as dlv_" in find("live-deliveries").detail
