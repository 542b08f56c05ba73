"""A tenant's counters beside what its rows say."""

from __future__ import annotations

from uuid import UUID

from jobservice.jobs import usage
from jobservice.statements import run_statement
from tests.roles import as_role


def counted(tenant_id: UUID) -> tuple[int, int]:
    """Unfinished jobs and stored bytes, as the counters say."""
    with as_role("owner"):
        volume = usage.read_usage(tenant_id).volume
    return volume.open_jobs, volume.stored_bytes


def held(tenant_id: UUID) -> tuple[int, int]:
    """The same, as the rows say."""
    with as_role("owner"):
        kinds = list(usage.COUNTED_KINDS)
        (row,) = run_statement(usage._SQL / "recount_usage.sql", {"tenant": tenant_id, "kinds": kinds})
    return row.open_jobs, row.stored_bytes
