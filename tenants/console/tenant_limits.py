"""What the tenant of a page may hold or use, as its requests of the API are held to it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from tenants.context import tenant_tx
from tenants.models import Tenant


def read_quotas(tenant_id: UUID) -> Mapping[str, int | None]:
    with tenant_tx(tenant_id):
        quotas: Mapping[str, int | None] = Tenant.objects.values_list("quotas", flat=True).get(id=tenant_id)
    return quotas
