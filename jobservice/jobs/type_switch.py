"""A type is switched off by its endpoint's 410, and on again by whoever writes it. Its jobs wait meanwhile, held.

`leases.release_jobs` holds those that were started; the dispatcher lets them go on again.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.db import transaction

from jobservice.jobs.lanes import activate_lanes
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"
RESUME_LIMIT = 500


def disable_type(tenant_id: UUID, name: str, *, version: int, reason: str) -> bool:
    """Switch the type off, if it still is in this version. `reason` is a sentence that the tenant sees."""
    with tenants_tx([tenant_id]):
        parameters = {"tenant": tenant_id, "name": name, "version": version, "reason": reason}
        is_changed = bool(run_statement(_SQL / "disable_type.sql", parameters))
    if is_changed:
        # Not loud: it is the tenant's to mend, and the type says so.
        log_event("job_type_disabled", tenant_id=tenant_id)
    return is_changed


def resume_held_jobs() -> int:
    """Make jobs available whose type is on again, at most `RESUME_LIMIT`. The number made available."""
    with transaction.atomic():
        rows = run_statement(_SQL / "resume_held_jobs.sql", {"limit": RESUME_LIMIT})
        activate_lanes(row.lane_id for row in rows)
    if rows:
        log_event("held_jobs_resumed", count=len(rows))
    return len(rows)
