"""What a tenant uses of each of its quotas, for the tenant itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.jobs.representation import show_time
from jobservice.jobs.usage import read_usage
from jobservice.statements import run_statement
from jobservice.webhooks.endpoints import count_endpoints
from tenants.api_key_changes import count_api_keys
from tenants.context import tenant_tx
from tenants.quotas import all_limits

_SQL = Path(__file__).resolve().parent / "sql"


def report_usage(tenant_id: UUID, quotas: Mapping[str, int | None]) -> list[dict[str, Any]]:
    """Per quota its limit (None: none), how much is used (None: nothing is held), and when it frees by itself."""
    with tenant_tx(tenant_id):
        usage = read_usage(tenant_id)
        (held,) = run_statement(_SQL / "read_holdings.sql", {"tenant": tenant_id})
        used = {
            "open_jobs": usage.volume.open_jobs,
            "jobs_per_day": usage.volume.jobs_of_day,
            "stored_bytes": usage.volume.stored_bytes,
            "running": held.running,
            "queues": held.queues,
            "job_types": held.job_types,
            "webhook_endpoints": count_endpoints(tenant_id),
            "api_keys": count_api_keys(tenant_id),
        }
    resets = {"jobs_per_day": usage.day_ends_at}
    return [
        {"name": name, "limit": limit, "used": used.get(name), "resets_at": show_time(resets.get(name))}
        for name, limit in all_limits(quotas).items()
    ]
