"""Runs under way, as they are read from their rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobservice.jobs.outcomes import RetryPolicy, StartedJob
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"


def read_runs(rows: Sequence[Any]) -> list[StartedJob]:
    """The runs of these locked live rows, without their payloads: what a decision needs, and any role may read.

    A statement of its own, because one that locks rows may join no partitions.
    """
    if not rows:
        return []
    named = {"tenants": [row.tenant_id for row in rows], "jobs": [row.job_id for row in rows]}
    return [run_from(row, sealed_payload=b"") for row in run_statement(_SQL / "read_runs.sql", named)]


def run_from(row: Any, *, sealed_payload: bytes) -> StartedJob:
    """The run of a row of `read_started_jobs.sql` or `read_runs.sql`, which holds no payload."""
    return StartedJob(
        tenant_id=row.tenant_id,
        job_id=row.job_id,
        epoch=row.epoch,
        type=row.type,
        executor=row.executor,
        handler=row.handler,
        queue=row.queue,
        priority=row.priority,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        crash_count=row.crash_count,
        timeout_seconds=row.timeout_seconds,
        retry=retry_policy_from(row.retry),
        tags=row.tags,
        created_at=row.created_at,
        run_at=row.run_at,
        started_at=row.started_at,
        traceparent=row.traceparent,
        payload_id=row.payload_id,
        sealed_payload=sealed_payload,
        on_crash=row.on_crash,
    )


def retry_policy_from(stored: dict[str, Any]) -> RetryPolicy:
    """The policy of a job row: a checked object whose unknown keys (of a newer version) are left out."""
    known = {name: stored[name] for name in RetryPolicy.__slots__ if name in stored}
    if known.get("schedule_seconds") is not None:
        known["schedule_seconds"] = tuple(known["schedule_seconds"])
    return RetryPolicy(**known)
