"""A type whose endpoint is gone is switched off: its jobs are held, and go on when somebody writes it again."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.egress.client import EgressClient
from jobservice.jobs import type_switch
from jobservice.jobs.models import JobType, Lane, LiveJob
from jobservice.jobs.type_switch import disable_type, resume_held_jobs
from tests.api.keys import problem
from tests.egress.servers import LOCAL
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, job_uuid, live
from tests.roles import as_role
from tests.workers.test_egress_http_jobs import NOWHERE, end_against, put_type, reply
from workers.chores import all_chores, do_due_chores
from workers.egress_work import HttpJobs
from workers.executors.http import HttpRun

pytestmark = pytest.mark.django_db


def start_runs() -> list[HttpRun]:
    """What the egress process would send of what is due."""
    refs = claim(pool="egress")
    with as_role("worker"):
        return [run for _, run in HttpJobs(EgressClient(LOCAL), lease_seconds=30).start(refs, worker_id=WORKER)]


def answer_with(run: HttpRun, status: int) -> None:
    end, _ = end_against(run, reply(status))
    with as_role("worker"):
        HttpJobs(EgressClient(LOCAL), lease_seconds=30).record([end])


def switch_off(tenant: Tenant) -> None:
    version = JobType.objects.get(tenant_id=tenant.id).version
    with as_role("worker"):
        assert disable_type(tenant.id, "work.do", version=version, reason="Gone.")


def resume() -> int:
    with as_role("dispatcher"):
        return resume_held_jobs()


def read(api: Any, tenant: Tenant, path: str) -> Any:
    return api.get(f"/v1/{path}", key=tenant.api_key).json()


def test_an_endpoint_that_is_gone_ends_its_job_and_switches_the_type_off(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    job = make_job(tenant, type="work.do")
    assert read(api, tenant, "job-types/work.do")["disabled"] is None
    (run,) = start_runs()
    answer_with(run, 410)
    after = read(api, tenant, f"jobs/{job['id']}")
    assert (after["state"], after["error"]["code"], after["attempt"]) == ("discarded", "http-410", 1)
    disabled = read(api, tenant, "job-types/work.do")["disabled"]
    assert disabled["reason"] == "Its endpoint answered with status 410, Gone."
    assert disabled["at"].endswith("Z")
    assert read(api, tenant, "job-types")["data"][0]["disabled"] == disabled


def test_the_jobs_of_a_type_that_is_off_are_held_and_nothing_is_counted(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    job = make_job(tenant, type="work.do")
    switch_off(tenant)
    assert start_runs() == []
    row = live(job)
    assert (row.state, row.suspended_reason, row.attempt, row.crash_count) == ("suspended", "type-disabled", 0, 0)
    shown = read(api, tenant, f"jobs/{job['id']}")
    assert (shown["state"], shown["attempt"], shown["started_at"]) == ("suspended", 0, None)
    (event,) = [
        event for event in read(api, tenant, f"jobs/{job['id']}/events")["data"] if event["type"] == "job.suspended"
    ]
    assert event["data"]["reason"] == "type-disabled"
    assert [one["outcome"] for one in read(api, tenant, f"jobs/{job['id']}/attempts")["data"]] == ["released"]


def test_jobs_are_accepted_meanwhile_and_all_go_on_when_the_type_is_written_again(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    early = make_job(tenant, type="work.do")
    switch_off(tenant)
    start_runs()
    answer = api.post("/v1/jobs", {"type": "work.do"}, key=tenant.api_key)
    assert answer.status_code == 201
    assert start_runs() == []
    assert resume() == 0, "it is still off"
    body = {"executor": "http", "http": {"url": NOWHERE}}
    written = api.put("/v1/job-types/work.do", body, key=tenant.api_key)
    assert (written.status_code, written.json()["disabled"]) == (200, None)
    assert resume() == 2
    runs = {run.job.job_id: run for run in start_runs()}
    assert set(runs) == {job_uuid(early), job_uuid(answer.json())}
    for run in runs.values():
        answer_with(run, 200)
    after = read(api, tenant, f"jobs/{early['id']}")
    assert (after["state"], after["attempt"], after["crash_count"]) == ("completed", 1, 0)


def test_a_job_that_was_tried_before_keeps_its_attempts(tenant: Tenant) -> None:
    put_type(tenant)
    job = make_job(tenant, type="work.do", retry={"initial_seconds": 0, "jitter": 0})
    (run,) = start_runs()
    answer_with(run, 500)
    LiveJob.objects.update(state="available")
    switch_off(tenant)
    assert start_runs() == []
    row = live(job)
    assert (row.state, row.attempt, row.error_code) == ("suspended", 1, "http-500")
    assert row.first_started_at is not None


def test_the_dispatcher_lets_them_go_on_by_itself(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type_switch, "RESUME_LIMIT", 2)
    monkeypatch.setattr("workers.chores.RESUME_LIMIT", 2)
    put_type(tenant)
    jobs = [make_job(tenant, type="work.do") for _ in range(5)]
    switch_off(tenant)
    start_runs()
    put_type(tenant)
    Lane.objects.update(is_active=False)
    (chore,) = [chore for chore in all_chores() if chore.name == "resume_held"]
    with as_role("dispatcher"):
        for _ in range(3):
            do_due_chores([chore])
    assert {live(job).state for job in jobs} == {"available"}
    assert Lane.objects.get().is_active


def test_only_what_waits_for_a_type_goes_on_and_only_for_its_own(tenant: Tenant, other_tenant: Tenant) -> None:
    for owner in (tenant, other_tenant):
        put_type(owner)
        make_job(owner, type="work.do")
        switch_off(owner)
    quarantined = make_job(tenant, type="work.do")
    LiveJob.objects.filter(job_id=job_uuid(quarantined)).update(
        state="suspended", suspended_reason="crashes", attempt=3, crash_count=3
    )
    start_runs()
    put_type(tenant)
    assert resume() == 1
    assert live(quarantined).state == "suspended"
    assert LiveJob.objects.get(tenant_id=other_tenant.id).state == "suspended"


def test_a_type_that_is_gone_holds_nothing_up(tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    switch_off(tenant)
    start_runs()
    JobType.objects.all().delete()
    assert resume() == 1
    (run,) = start_runs()
    assert getattr(run.call, "error_code", None) == "no-endpoint"


def test_a_type_that_is_off_cannot_be_deleted_over_its_jobs(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    switch_off(tenant)
    start_runs()
    problem(api.delete("/v1/job-types/work.do", key=tenant.api_key), 409, "conflict")


def test_an_old_endpoint_that_is_gone_does_not_switch_off_the_new_one(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    make_job(tenant, type="work.do")
    (run,) = start_runs()
    put_type(tenant)
    answer_with(run, 410)
    assert read(api, tenant, "job-types/work.do")["disabled"] is None


def test_a_page_that_is_gone_to_an_adhoc_call_switches_nothing_off(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    job = make_job(tenant, type="http.request", payload={"url": NOWHERE})
    (run,) = start_runs()
    answer_with(run, 410)
    assert read(api, tenant, f"jobs/{job['id']}")["state"] == "discarded"
    assert not JobType.objects.exclude(disabled_at=None).exists()


def test_a_held_job_can_be_cancelled(api: Any, tenant: Tenant) -> None:
    put_type(tenant)
    job = make_job(tenant, type="work.do")
    switch_off(tenant)
    start_runs()
    assert api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key).json()["state"] == "cancelled"
