"""What races for unique keys say often: submissions with one, who may hold one afterwards, and waiting for waiters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client

from jobservice.errors import JobserviceError
from jobservice.jobs.accept import accept_job
from jobservice.jobs.models import Job, LiveJob, UniqueClaim
from tests.factories import Tenant, make_job, make_submission

KEY = {"key": "k"}
CONFLICTS = ("return", "reject", "replace")


def post(tenant: Tenant, path: str, body: Any) -> Callable[[], Any]:
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    client = Client(raise_request_exception=False)
    return lambda: client.post(path, body, content_type="application/json", headers=headers)


def body_of(on_conflict: str = "return", key: str = "k", **unique: Any) -> dict[str, Any]:
    return {"type": "echo", "unique": {"key": key, "on_conflict": on_conflict, **unique}}


def submitting(tenant: Tenant, on_conflict: str = "return", **unique: Any) -> Callable[[], Any]:
    """A submission on another thread: the job that is answered, or the refusal."""
    submission = make_submission(unique={**KEY, "on_conflict": on_conflict, **unique})

    def act() -> Any:
        try:
            return accept_job(tenant.id, submission)
        except JobserviceError as refusal:
            return refusal

    return act


def check_holders(tenant: Tenant) -> None:
    """Of each key at most one live job, and it has the claim; no claim is held by a job that is over."""
    live = set(LiveJob.objects.filter(tenant_id=tenant.id).values_list("job_id", flat=True))
    held = {
        bytes(row.hash): row.job_id for row in UniqueClaim.objects.filter(tenant_id=tenant.id, held_while__isnull=False)
    }
    assert set(held.values()) <= live
    for job in Job.objects.filter(id__in=live, unique_while="unfinished"):
        assert held[bytes(job.unique_hash or b"")] == job.id, "a live job without its key"


def clear(tenant: Tenant) -> None:
    LiveJob.objects.all().delete()
    UniqueClaim.objects.all().delete()


def open_queue(tenant: Tenant) -> None:
    """Let the queue be there: who makes a new one is waited for before any key."""
    make_job(tenant)
    clear(tenant)


def wait_for_waiters(count: int) -> None:
    """Until so many wait for the end of somebody's transaction."""
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted")
            if cursor.fetchone()[0] >= count:
                return
        threading.Event().wait(0.05)
    raise AssertionError("nobody waits")
