"""Every retry policy as a tenant asks for it over the API, for jobs of both executors, and where it leads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from jobservice.egress.client import EgressClient
from jobservice.jobs.claims import stage_due_jobs
from jobservice.jobs.models import LiveJob
from tests.egress.servers import LOCAL
from tests.factories import Tenant
from tests.jobs.dispatching import WORKER, claim, job_uuid, outcome_of, record, start
from tests.roles import as_role
from tests.workers.test_egress_http_jobs import NOWHERE, end_against, reply
from workers.egress_work import HttpJobs
from workers.executors.handler import run_handler

pytestmark = pytest.mark.django_db

EXECUTORS = ("http", "handler")
STEADY = {"jitter": 0}
TYPES: dict[str, dict[str, Any]] = {
    "http": {"executor": "http", "http": {"url": NOWHERE}},
    "handler": {"executor": "handler", "handler": "fail"},
}


def put_type(api: Any, tenant: Tenant, executor: str, **defaults: Any) -> None:
    body = {**TYPES[executor], "defaults": defaults}
    assert api.put("/v1/job-types/work", body, key=tenant.api_key).status_code == 201


def submit(api: Any, tenant: Tenant, **fields: Any) -> dict[str, Any]:
    answer = api.post("/v1/jobs", {"type": "work", "payload": {"times": 100}, **fields}, key=tenant.api_key)
    assert answer.status_code == 201, answer.content
    job: dict[str, Any] = answer.json()
    return job


def fail_once(executor: str, **headers: str) -> None:
    """Run what is due once, as its worker does; the endpoint answers 503 with these headers."""
    if executor == "handler":
        (started,) = start(claim())
        verdict = run_handler(started, b'{"times": 100}', is_cancelled=lambda: False)
        record(outcome_of(started, verdict.kind, error_code=verdict.error_code, error_message=verdict.error_message))
        return
    refs, work = claim(pool="egress"), HttpJobs(EgressClient(LOCAL), lease_seconds=30)
    with as_role("worker"):
        ((_, run),) = work.start(refs, worker_id=WORKER)
    end, _ = end_against(run, reply(503, b"", **headers))
    with as_role("worker"):
        work.record([end])


def waits_of(api: Any, tenant: Tenant, job: dict[str, Any], executor: str, *, failures: int) -> list[float]:
    """How long the job waits after each of so many failures."""
    waits = []
    for attempt in range(1, failures + 1):
        fail_once(executor)
        shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
        assert (shown["state"], shown["attempt"]) == ("retryable", attempt)
        waits.append(wait_of(job))
        LiveJob.objects.update(due_at=Now() - timedelta(seconds=1))
        with as_role("dispatcher"):
            assert stage_due_jobs() == 1
    return waits


def wait_of(job: dict[str, Any]) -> float:
    row = LiveJob.objects.filter(job_id=job_uuid(job)).annotate(wait=F("due_at") - Now()).get()
    wait: timedelta = row.wait
    return wait.total_seconds()


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ({"initial_seconds": 1000, "factor": 3, "max_seconds": 5000}, [1000, 3000, 5000]),
        ({"strategy": "exponential", "initial_seconds": 1000}, [1000, 2000, 3600]),
        ({"strategy": "fixed", "initial_seconds": 1000}, [1000, 1000, 1000]),
        ({"schedule_seconds": [1000, 9000]}, [1000, 9000, 9000]),
        ({"strategy": "fixed", "initial_seconds": 1000, "max_age_seconds": 86_400}, [1000, 1000, 1000]),
    ],
)
@pytest.mark.parametrize("said_by", ["job", "type"])
def test_a_job_waits_as_its_policy_says(
    api: Any, tenant: Tenant, executor: str, retry: dict[str, Any], expected: list[int], said_by: str
) -> None:
    policy = {"retry": {**retry, **STEADY}}
    put_type(api, tenant, executor, **(policy if said_by == "type" else {}))
    job = submit(api, tenant, **(policy if said_by == "job" else {}))
    waits = waits_of(api, tenant, job, executor, failures=3)
    for wait, seconds in zip(waits, expected, strict=True):
        assert seconds - 30 < wait <= seconds


@pytest.mark.parametrize("executor", EXECUTORS)
def test_jitter_moves_each_wait_either_way(api: Any, tenant: Tenant, executor: str) -> None:
    put_type(api, tenant, executor)
    job = submit(api, tenant, retry={"strategy": "fixed", "initial_seconds": 2000, "jitter": 0.5})
    waits = waits_of(api, tenant, job, executor, failures=8)
    assert all(970 < wait <= 3000 for wait in waits)
    assert max(waits) - min(waits) > 20


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 1},
        {"retry": {"strategy": "fixed", "initial_seconds": 1000, "max_age_seconds": 900, **STEADY}},
    ],
)
def test_a_job_without_another_try_is_discarded(
    api: Any, tenant: Tenant, executor: str, options: dict[str, Any]
) -> None:
    put_type(api, tenant, executor)
    job = submit(api, tenant, **options)
    fail_once(executor)
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert (shown["state"], shown["attempt"]) == ("discarded", 1)


@pytest.mark.parametrize(("retry_after", "seconds"), [("7000", 7000), ("10", 1000), ("999999999", 86_400)])
def test_an_endpoint_can_only_put_the_next_try_off(api: Any, tenant: Tenant, retry_after: str, seconds: int) -> None:
    put_type(api, tenant, "http")
    job = submit(api, tenant, retry={"strategy": "fixed", "initial_seconds": 1000, **STEADY})
    fail_once("http", Retry_After=retry_after)
    assert seconds - 30 < wait_of(job) <= seconds


def test_a_snooze_is_no_failure_and_knows_no_policy(api: Any, tenant: Tenant) -> None:
    put_type(api, tenant, "http")
    job = submit(api, tenant, max_attempts=1, retry={"strategy": "fixed", "initial_seconds": 10})
    fail_once("http", Job_Snooze="7000")
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert (shown["state"], shown["attempt"], shown["error"]) == ("scheduled", 0, None)
    assert 6970 < wait_of(job) <= 7000
