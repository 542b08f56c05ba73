"""Limits as tests set them."""

from __future__ import annotations

from typing import Any

from jobservice.jobs.lanes import make_lanes
from jobservice.jobs.limits import apply_queue_change, hold_claims
from jobservice.jobs.models import Queue
from tenants.context import tenant_tx
from tenants.models import Tenant as TenantRow
from tests.factories import Tenant
from tests.roles import as_role

# A job of the other pool: limits are of both.
HTTP = {"type": "http.request", "payload": {"method": "GET", "url": "https://example.com/"}}


def limit_queue(tenant: Tenant, queue: str = "default", **limits: Any) -> None:
    """Change a queue, as the API does."""
    with as_role("web"), tenant_tx(tenant.id):
        make_lanes(tenant.id, {(queue, "handlers")})
        hold_claims(tenant.id)
        Queue.objects.filter(tenant_id=tenant.id, name=queue).update(**limits)
        apply_queue_change(tenant.id, queue)


def limit_tenant(tenant: Tenant, **fields: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(**fields)
