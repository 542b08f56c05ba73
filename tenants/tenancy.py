"""Making, finding, suspending and limiting tenants: what the operator's commands do."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.db import IntegrityError, transaction

from jobservice.errors import Conflict, Fault, Invalid, NotFound
from jobservice.ids import TENANT, new_id, parse_id
from tenants.api_keys import SCOPES, create_api_key
from tenants.context import tenant_tx
from tenants.data_keys import create_data_keys
from tenants.models import Tenant
from tenants.signing_secrets import create_default_secret

NAME_LIMIT = 100
ERASED = "erased"
# What the schema's refusals of rows for an erased tenant are named.
ERASED_RULE = "tenant_is_erased"


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant just made, with its first API key, which is not to be had again."""

    tenant_id: UUID
    name: str
    api_key: str = field(repr=False)


def create_tenant(name: str) -> NewTenant:
    """Make a tenant with its keys, its signing secret and a first API key of all scopes, in one transaction.

    Raises `Invalid` for a bad name and `Conflict` for one in use.
    """
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise Invalid([Fault("/name", "bad-format", f"A tenant's name has 1 to {NAME_LIMIT} printable characters.")])
    tenant_id = new_id()
    try:
        with tenant_tx(tenant_id):
            Tenant.objects.create(id=tenant_id, name=name)
            create_data_keys(tenant_id)
            create_default_secret(tenant_id)
            _, api_key = create_api_key(tenant_id, name="first key", scopes=SCOPES)
    except IntegrityError:
        raise Conflict(f"There is a tenant named {name!r} already.") from None
    return NewTenant(tenant_id, name, api_key)


def find_tenant(name_or_id: str, *, is_erased_too: bool = False) -> Tenant:
    """The tenant of this name or `tnt_…` id; what is left of an erased one only when asked for. Raises `NotFound`."""
    tenants = Tenant.objects.all() if is_erased_too else Tenant.objects.exclude(status=ERASED)
    tenant_id = parse_id(TENANT, name_or_id)
    tenant = tenants.filter(id=tenant_id).first() if tenant_id else None
    tenant = tenant or tenants.filter(name=name_or_id).first()
    if tenant is None:
        raise NotFound(f"There is no tenant {name_or_id!r}.")
    return tenant


def read_tenant(tenant_id: UUID) -> Tenant:
    """The tenant's own row, read as itself."""
    with tenant_tx(tenant_id):
        return Tenant.objects.get(id=tenant_id)


def set_status(tenant: Tenant, status: str) -> None:
    """Suspend a tenant (running jobs finish, nothing new is accepted or started) or make it active again."""
    with tenant_tx(tenant.id):
        Tenant.objects.filter(id=tenant.id).exclude(status=ERASED).update(status=status)


def set_quotas(tenant: Tenant, quotas: dict[str, int | None]) -> dict[str, int | None]:
    """Change some of the tenant's quotas; all of its own values after the change."""
    with transaction.atomic():
        locked = Tenant.objects.select_for_update().get(id=tenant.id)
        merged: dict[str, int | None] = {**locked.quotas, **quotas}
        locked.quotas = merged
        locked.save(update_fields=["quotas"])
    return merged
