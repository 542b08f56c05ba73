"""What holds for a tenant: its own quotas, else its plan's, else the service's defaults. Plans are the operator's.

`tenant.quotas` is what holds, the one document that every statement reads. It is written here, in the transaction that
changes the plan or the tenant, and never apart from them. The plan is locked before its tenants, and they in the order
of their ids. For starts of jobs it holds once `apply_quotas` of the jobs' limits was called after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from psycopg.types.json import Jsonb

from jobservice.errors import Conflict, Fault, Invalid, NotFound
from jobservice.ids import TENANT, show_id
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.models import Plan, Tenant
from tenants.quotas import QuotaChange, Quotas
from tenants.tenancy import ERASED

_SQL = Path(__file__).resolve().parent / "sql"
_NAME = re.compile(r"[a-z0-9-]{1,40}")
NO_CHANGE = QuotaChange()


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """A plan with the number of tenants that are on it."""

    name: str
    quotas: Quotas
    tenants: int


def set_plan(name: str, change: QuotaChange) -> tuple[Quotas, list[UUID]]:
    """Make the plan or change it, for all its tenants at once; its values, and the tenants that are on it.

    Raises `Invalid` for a bad name.
    """
    if not _NAME.fullmatch(name):
        raise Invalid([Fault("/plan", "bad-format", "A plan's name has 1 to 40 characters of a-z, 0-9 and -.")])
    with transaction.atomic():
        parameters = {"plan": name, "values": Jsonb(dict(change.values)), "removed": list(change.removed)}
        (plan,) = run_statement(_SQL / "change_plan.sql", parameters)
        tenants = list(Tenant.objects.filter(plan=name).order_by("id").select_for_update(no_key=True))
        _write_quotas(name, tenants)
        _note_change(tenants)
    return plan.quotas, [tenant.id for tenant in tenants]


def list_plans() -> list[ListedPlan]:
    """All plans by their names."""
    of_plan = Tenant.objects.filter(plan=OuterRef("name")).values("plan").annotate(count=Count("*")).values("count")
    plans = Plan.objects.annotate(tenants=Coalesce(Subquery(of_plan), 0)).order_by("name")
    return [ListedPlan(plan.name, plan.quotas, plan.tenants) for plan in plans]


def delete_plan(name: str) -> None:
    """Remove a plan that no tenant is on. Raises `NotFound`, and `Conflict` while one is."""
    with transaction.atomic():
        plan = lock_plan(name)
        tenant = Tenant.objects.filter(plan=name).order_by("id").first()
        if tenant is not None:
            raise Conflict(f"Tenant {tenant.name} is on plan {name}; see `set_quota {tenant.name} --no-plan`.")
        plan.delete()


def set_quotas(tenant_id: UUID, change: QuotaChange) -> Tenant:
    """Change some of the tenant's own quotas; the tenant as it is then."""
    with transaction.atomic():
        tenant = lock_tenant(tenant_id)
        return _set_own(tenant, tenant.plan, change)


def move_to_plan(tenant_id: UUID, plan: str | None, change: QuotaChange = NO_CHANGE) -> Tenant:
    """Put the tenant on a plan, or on none, and change some of its own quotas. Raises `NotFound` of the plan."""
    with transaction.atomic():
        if plan is not None:
            lock_plan(plan)
        return _set_own(lock_tenant(tenant_id), plan, change)


def lock_plan(name: str) -> Plan:
    """Until the end of the transaction it is neither changed nor deleted, and nobody else is put on it.

    Raises `NotFound`.
    """
    plan = Plan.objects.select_for_update().filter(name=name).first()
    if plan is None:
        raise NotFound(f"There is no plan {name!r}.")
    return plan


def lock_tenant(tenant_id: UUID) -> Tenant:
    """The tenant as it is until the end of the transaction; after its plan. Raises `NotFound` of an erased one."""
    # Not its key, which the rows of accepts refer to: they need not wait.
    tenant = Tenant.objects.select_for_update(no_key=True).exclude(status=ERASED).filter(id=tenant_id).first()
    if tenant is None:
        raise NotFound("The tenant was erased meanwhile.")
    return tenant


def _set_own(tenant: Tenant, plan: str | None, change: QuotaChange) -> Tenant:
    tenant.own_quotas = change.apply_to(tenant.own_quotas)
    _write_quotas(plan, [tenant])
    (changed,) = _note_change([tenant])
    return changed


def _note_change(tenants: Sequence[Tenant]) -> list[Tenant]:
    """Write down what differs now of these tenants, in the order of their ids; the tenants as they are now."""
    now = Tenant.objects.in_bulk([tenant.id for tenant in tenants])
    for before in tenants:
        with tenant_tx(before.id):
            after = now[before.id]
            note_act(before.id, "tenant.quotas-updated", show_id(TENANT, before.id), before=before, after=after)
    return [now[tenant.id] for tenant in tenants]


def _write_quotas(plan: str | None, tenants: Sequence[Tenant]) -> list[Any]:
    """Write the plan and the own quotas of these tenants, whose rows are locked, and so what holds for them."""
    parameters = {
        "plan": plan,
        "tenants": [tenant.id for tenant in tenants],
        "own_quotas": [Jsonb(tenant.own_quotas) for tenant in tenants],
    }
    return run_statement(_SQL / "write_quotas.sql", parameters)
