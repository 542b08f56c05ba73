"""Making, finding, suspending and weighing tenants: what the operator's commands do. Quotas are in `plans.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.db import IntegrityError

from jobservice.errors import Conflict, Fault, Invalid, NotFound
from jobservice.ids import TENANT, new_id, parse_id, show_id
from tenants.api_keys import SCOPES, create_api_key
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import make_data_keys, store_key
from tenants.models import Tenant
from tenants.signing_secrets import create_default_secret

NAME_LIMIT = 100
MOST_WEIGHT = 1000
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

    Raises `Invalid` for a bad name, `Conflict` for one in use, and `KeyProviderAway`.
    """
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise Invalid([Fault("/name", "bad-format", f"A tenant's name has 1 to {NAME_LIMIT} printable characters.")])
    tenant_id = new_id()
    keys = make_data_keys(tenant_id)
    try:
        with tenant_tx(tenant_id):
            tenant = Tenant.objects.create(id=tenant_id, name=name)
            note_act(tenant_id, "tenant.created", show_id(TENANT, tenant_id), after=tenant)
            for key in keys:
                store_key(key)
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


def list_tenants() -> list[Tenant]:
    """All tenants but erased ones, oldest first."""
    return list(Tenant.objects.exclude(status=ERASED).order_by("id"))


def read_tenant(tenant_id: UUID) -> Tenant:
    """The tenant's own row, read as itself."""
    with tenant_tx(tenant_id):
        return Tenant.objects.get(id=tenant_id)


def set_status(tenant_id: UUID, status: str) -> None:
    """Write that a tenant is suspended or active, in its transaction; an erased one stays erased.

    What follows for its jobs is not done here: see `jobservice.jobs.suspension`.
    """
    Tenant.objects.filter(id=tenant_id).exclude(status=ERASED).update(status=status)


def parse_weight(text: str) -> int:
    """A weight as an operator writes it. Raises `Invalid`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WEIGHT:
        detail = f"WEIGHT is {text!r}, which is no whole number from 1 to {MOST_WEIGHT}."
        raise Invalid([Fault("/weight", "out-of-range", detail)])
    return int(text)


def set_weight(tenant_id: UUID, weight: int) -> None:
    """Let the tenant's turns weigh so much from the next claim on."""
    with tenant_tx(tenant_id):
        tenant = Tenant.objects.select_for_update(no_key=True).exclude(status=ERASED).filter(id=tenant_id).first()
        if tenant is None:
            return
        Tenant.objects.filter(id=tenant_id).update(weight=weight)
        note_act(
            tenant_id,
            "tenant.updated",
            show_id(TENANT, tenant_id),
            before={"weight": tenant.weight},
            after={"weight": weight},
        )
