"""Erases what a job's end has told the world, and stops what is still on its way."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"


def erase_events(tenant_id: UUID, job_id: UUID) -> set[UUID]:
    """Remove a job's events and deliveries, in the caller's transaction; the sealed values they referred to.

    The caller keeps the job from getting new ones.
    """
    of_job = {"tenant": tenant_id, "job": job_id}
    deliveries = [row.id for row in run_statement(_SQL / "find_deliveries.sql", of_job)]
    run_statement(_SQL / "end_deliveries.sql", {"tenant": tenant_id, "deliveries": deliveries})
    # A further statement sees the tries that were recorded while the first one waited.
    return {row.blob_id for row in run_statement(_SQL / "erase_events.sql", of_job)}
