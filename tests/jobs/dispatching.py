"""What tests of the core say often: claim as the dispatcher, start and record as a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from jobservice.crypto.message_mac import Ref
from jobservice.ids import JOB, new_id, parse_id
from jobservice.jobs import claims
from jobservice.jobs.claim_steps import Look, Run, look_once
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.leases import start_jobs
from jobservice.jobs.models import LiveJob
from jobservice.jobs.outcomes import Outcome, OutcomeKind, StartedJob
from jobservice.jobs.record import RecordReport, record_outcomes
from tests.roles import as_role

WORKER = new_id()


def job_uuid(job: dict[str, Any]) -> UUID:
    return cast(UUID, parse_id(JOB, job["id"]))


def claim(limit: int = 100, *, pool: str = "handlers", lease_seconds: float = 30.0) -> list[Ref]:
    with as_role("dispatcher"):
        return [claimed.ref for claimed in claim_jobs(pool, limit=limit, lease_seconds=lease_seconds)]


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on every look of a claim adds the name of its pool."""
    looks: list[str] = []

    def look(run: Run, pool: str, **how: Any) -> Look | None:
        looks.append(pool)
        return look_once(run, pool, **how)

    monkeypatch.setattr(claims, "look_once", look)
    return looks


def start(refs: Sequence[Ref], *, worker_id: UUID = WORKER, lease_seconds: float = 30.0) -> list[StartedJob]:
    with as_role("worker"):
        return start_jobs(refs, worker_id=worker_id, group_id=new_id(), lease_seconds=lease_seconds)


def outcome_of(job: StartedJob, kind: OutcomeKind = "completed", **fields: Any) -> Outcome:
    if kind == "completed":
        fields.setdefault("result", b'{"ok":true}')
    return Outcome(job=job, kind=kind, worker_id=WORKER, started_at=job.started_at, duration_seconds=0.01, **fields)


def record(*outcomes: Outcome) -> RecordReport:
    with as_role("worker"):
        return record_outcomes(outcomes)


def live(job: dict[str, Any]) -> LiveJob:
    return LiveJob.objects.get(job_id=job_uuid(job))


def end_lease(job: dict[str, Any]) -> None:
    """As if the holder had been silent for longer than its lease."""
    LiveJob.objects.filter(job_id=job_uuid(job)).update(lease_until=Now() - timedelta(seconds=1))


@contextmanager
def no_writes() -> Iterator[None]:
    """A transaction in which the server takes no writes, as a standby does."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        yield
