"""Endpoints that say "not now", as tests have them say it."""

from __future__ import annotations

from typing import Any

from django.db import connection

from jobservice.jobs.job_type_views import find_job_type
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.outcomes import Outcome, Throttle
from jobservice.jobs.throttles import let_go_throttled
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.roles import as_role


def put_endpoint(tenant: Tenant, name: str = "work.do") -> int:
    """Write the http type, once more perhaps; its version."""
    with as_role("web"):
        put_job_type(tenant.id, name, {"executor": "http", "http": {"url": "http://127.0.0.1:9/work"}})
        found = find_job_type(tenant.id, name)
    assert found is not None
    return found.version


def not_now(job: Any, seconds: float = 60, *, version: int = 1, **fields: Any) -> Outcome:
    """What a 429 with `Retry-After` makes of a run."""
    given = {"error_code": "http-429", "retry_after_seconds": seconds, "throttle": Throttle(seconds, version)}
    return outcome_of(job, "failed", **(given | fields))


def throttle(tenant: Tenant, name: str = "work.do", *, seconds: float = 60, version: int = 1, **fields: Any) -> Any:
    """A job of the type, the only one there, runs, and its endpoint says "not now" for so long. The job."""
    job = make_job(tenant, type=name, **fields)
    [started] = start(claim(pool="egress"))
    record(not_now(started, seconds, version=version))
    return job


def wait_out(seconds: float) -> None:
    """As if so much time had gone by for the throttles."""
    with connection.cursor() as cursor:
        statement = "UPDATE endpoint_throttle SET until = until - {0}, let_go_at = let_go_at - {0}"
        cursor.execute(statement.format("make_interval(secs => %s)"), [seconds, seconds])


def let_go() -> None:
    with as_role("dispatcher"):
        let_go_throttled()


def throttled_until(tenant: Tenant, name: str = "work.do") -> Any:
    with as_role("web"):
        found = find_job_type(tenant.id, name)
    assert found is not None
    return found.throttled_until
