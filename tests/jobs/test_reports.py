"""What a run says of itself: shown while it goes on, kept with its attempt, sealed, and refused once it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from jobservice.errors import SealingError
from jobservice.ids import new_id
from jobservice.jobs.erase import erase_job
from jobservice.jobs.erasure import erase_tenant
from jobservice.jobs.models import LiveJob
from jobservice.jobs.outcomes import StartedJob
from jobservice.jobs.reports import LOG_BYTES, LogLine, Progress, ReportingRun, RunLog, write_report
from jobservice.jobs.rescue import reap_leases
from tenants.models import Blob
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, record, start
from tests.metering import Moment
from tests.roles import as_role

pytestmark = pytest.mark.django_db
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def run_of(started: StartedJob, *, worker_id: UUID | None = WORKER) -> ReportingRun:
    return ReportingRun(started.tenant_id, started.job_id, started.epoch, worker_id)


def begin(tenant: Tenant, **fields: Any) -> tuple[dict[str, Any], StartedJob]:
    job = make_job(tenant, **fields)
    (started,) = start(claim())
    return job, started


def log_of(*messages: str) -> bytes:
    log = RunLog()
    for number, message in enumerate(messages):
        log.add(LogLine(NOON + timedelta(seconds=number), "info", message))
    return log.encode()


def report(run: ReportingRun, role: str = "worker", **said: Any) -> bool:
    with as_role(role):
        return write_report(run, **said)


def report_blobs() -> list[Blob]:
    return list(Blob.objects.filter(kind__in=("progress", "log")).order_by("kind", "epoch", "id"))


def attempts(api: Any, tenant: Tenant, job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/jobs/{job['id']}/attempts", key=tenant.api_key).json()["data"]
    return found


def test_progress_is_shown_while_the_job_runs_and_is_its_attempts_after(api: Any, tenant: Tenant) -> None:
    job, started = begin(tenant)
    assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()["progress"] is None
    assert report(run_of(started), progress=Progress(33.3, "a third"))
    shown = {"percent": 33.3, "message": "a third"}
    assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()["progress"] == shown
    assert api.get("/v1/jobs", key=tenant.api_key).json()["data"][0]["progress"] == shown
    record(outcome_of(started))
    assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()["progress"] is None
    (attempt,) = attempts(api, tenant, job)
    assert (attempt["progress"], attempt["log"]) == (shown, None)


def test_each_report_takes_the_place_of_the_last_and_leaves_what_it_does_not_name(api: Any, tenant: Tenant) -> None:
    job, started = begin(tenant)
    run = run_of(started)
    report(run, progress=Progress(10, "begun"), log=log_of("one"))
    ids = [blob.id for blob in report_blobs()]
    report(run, log=log_of("one", "two"))
    report(run, progress=Progress(90))
    assert [blob.id for blob in report_blobs()] == ids
    record(outcome_of(started))
    (attempt,) = attempts(api, tenant, job)
    assert attempt["progress"] == {"percent": 90, "message": None}
    assert attempt["log"] == [
        {"at": "2030-01-01T12:00:00.000Z", "level": "info", "message": "one"},
        {"at": "2030-01-01T12:00:01.000Z", "level": "info", "message": "two"},
    ]


def test_a_percent_alone_seals_nothing(tenant: Tenant) -> None:
    _, started = begin(tenant)
    report(run_of(started), progress=Progress(50))
    assert report_blobs() == []


def test_the_texts_are_sealed_and_bound_to_the_epoch(tenant: Tenant) -> None:
    _, started = begin(tenant)
    report(run_of(started), progress=Progress(1, "the secret word"), log=log_of("the secret word"))
    blobs = report_blobs()
    assert [(blob.kind, blob.epoch) for blob in blobs] == [("log", 1), ("progress", 1)]
    assert not any(b"secret" in bytes(blob.sealed) for blob in blobs)


def test_an_endpoint_may_report_through_the_web_whoever_holds_the_run(api: Any, tenant: Tenant) -> None:
    job, started = begin(tenant)
    assert report(run_of(started, worker_id=None), role="web", progress=Progress(5, "there"))
    assert report(run_of(started, worker_id=None), role="web", progress=Progress(6, "here"))
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()["progress"]
    assert shown == {"percent": 6, "message": "here"}


@pytest.mark.parametrize("what", ["ended", "an older epoch", "another worker", "another tenant"])
def test_a_report_of_a_run_that_is_not_the_callers_changes_nothing_and_is_counted(
    tenant: Tenant, other_tenant: Tenant, what: str
) -> None:
    _, started = begin(tenant)
    stale = {
        "ended": run_of(started),
        "an older epoch": ReportingRun(tenant.id, started.job_id, started.epoch - 1, WORKER),
        "another worker": run_of(started, worker_id=new_id()),
        "another tenant": ReportingRun(other_tenant.id, started.job_id, started.epoch, WORKER),
    }[what]
    if what == "ended":
        record(outcome_of(started))
    moment = Moment()
    assert not report(stale, progress=Progress(50, "late"), log=log_of("late"))
    assert report_blobs() == []
    assert not LiveJob.objects.filter(progress_percent__isnull=False).exists()
    assert moment.moved("jobservice_stale_writes_refused_total", kind="job") == 1


def test_a_crash_keeps_what_was_reported_until_then_and_the_next_run_begins_anew(api: Any, tenant: Tenant) -> None:
    job, started = begin(tenant)
    report(run_of(started), progress=Progress(70, "nearly"), log=log_of("last words"))
    end_lease(job)
    with as_role("dispatcher"):
        reap_leases()
    (attempt,) = attempts(api, tenant, job)
    assert (attempt["outcome"], attempt["progress"]) == ("crashed", {"percent": 70, "message": "nearly"})
    assert [line["message"] for line in attempt["log"]] == ["last words"]
    assert (live(job).progress_percent, live(job).progress_id, live(job).log_id) == (None, None, None)
    (again,) = start(claim())
    report(run_of(again), progress=Progress(1, "again"))
    assert [blob.epoch for blob in report_blobs()] == [1, 1, again.epoch]


def test_the_newest_lines_of_a_long_log_are_kept() -> None:
    log = RunLog()
    for number in range(3000):
        log.add(LogLine(NOON, "info", f"line {number} " + "é" * 20))
    kept = log.encode()
    assert LOG_BYTES - 200 < len(kept) <= LOG_BYTES
    assert b"line 2999 " in kept
    assert b"line 0 " not in kept


@pytest.mark.parametrize("message", ["x" * 100_000, "\ud800", "a\x00b", "\n"], ids=["long", "surrogate", "nul", "end"])
def test_any_text_can_be_reported(api: Any, tenant: Tenant, message: str) -> None:
    job, started = begin(tenant)
    assert report(run_of(started), progress=Progress(1, message), log=log_of(message))
    record(outcome_of(started))
    (attempt,) = attempts(api, tenant, job)
    assert len(attempt["log"]) == 1
    assert attempt["progress"]["message"]


def test_an_erased_job_takes_its_reports_with_it(tenant: Tenant) -> None:
    job, started = begin(tenant)
    report(run_of(started), progress=Progress(1, "m"), log=log_of("l"))
    record(outcome_of(started))
    assert len(report_blobs()) == 2
    with as_role("web"):
        erase_job(tenant.id, job_uuid(job))
    assert not Blob.objects.exists()


def test_a_tenant_that_is_erased_takes_the_reports_of_its_runs_with_it_and_gets_no_more(tenant: Tenant) -> None:
    _, started = begin(tenant)
    report(run_of(started), progress=Progress(1, "m"), log=log_of("l"))
    erase_tenant(tenant.id, progress=lambda _: None)
    assert not Blob.objects.exists()
    with pytest.raises(SealingError):
        report(run_of(started), progress=Progress(2, "n"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM blob")
        assert cursor.fetchone() == (0,)
