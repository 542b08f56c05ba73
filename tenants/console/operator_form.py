"""The form of what the operator sets for a tenant: weight, plan, own quotas; and what a change would change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.utils.translation import gettext as _

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import compact_json
from tenants.console.usage import NAMES
from tenants.models import Tenant
from tenants.quotas import DEFAULTS, QuotaChange, Quotas, limit_of, parse_change
from tenants.tenancy import parse_weight

NO_LIMIT = "null"


@dataclass(frozen=True, slots=True)
class LimitsForm:
    """What the tenant is to have. `quotas` names every quota: its own value, or that it has none of its own."""

    weight: int
    plan: str | None
    quotas: QuotaChange


def show_form(tenant: Tenant) -> dict[str, str]:
    """The values of the fields; empty is what the plan, or the service, says."""
    own = {name: NO_LIMIT if value is None else str(value) for name, value in tenant.own_quotas.items()}
    return {"weight": str(tenant.weight), "plan": tenant.plan or "", **own}


def read_form(form: Mapping[str, Any], plans: Mapping[str, Quotas]) -> LimitsForm:
    """What the form stands for. Raises `Invalid`, whose pointers name the fields."""
    faults: list[Fault] = []
    weight, change = 1, QuotaChange()
    try:
        weight = parse_weight(str(form.get("weight", "")).strip())
    except Invalid as error:
        faults += error.faults
    try:
        change = parse_change(f"{name}={str(form.get(name, '')).strip()}" for name in DEFAULTS)
    except Invalid as error:
        faults += error.faults
    plan = str(form.get("plan", "")) or None
    if plan is not None and plan not in plans:
        faults.append(Fault("/plan", "out-of-range", _("There is no such plan.")))
    if faults:
        raise Invalid(faults)
    return LimitsForm(weight, plan, change)


def revision_of(tenant: Tenant) -> str:
    """What a change is made to: another one when any of it has changed."""
    whole = [tenant.weight, tenant.plan, sorted(tenant.own_quotas.items()), sorted(tenant.quotas.items())]
    return sha256(compact_json(whole)).hexdigest()[:16]


def show_changes(tenant: Tenant, form: LimitsForm, plans: Mapping[str, Quotas]) -> list[dict[str, str]]:
    """What would be another one: its name, what it was and what it is. Of quotas what holds then, whoever says so."""
    own = form.quotas.apply_to(tenant.own_quotas)
    after = {**_plan_quotas(plans, form.plan), **own}
    changes = []
    if form.weight != tenant.weight:
        changes.append({"name": _("Weight"), "was": str(tenant.weight), "is": str(form.weight)})
    if form.plan != tenant.plan:
        changes.append({"name": _("Plan"), "was": tenant.plan or _("none"), "is": form.plan or _("none")})
    for name in DEFAULTS:
        was, now = _word(limit_of(tenant.quotas, name)), _word(limit_of(after, name))
        was_own, is_own = name in tenant.own_quotas, name in own
        if was != now:
            changes.append({"name": name, "was": was, "is": now})
        elif was_own != is_own:
            # The same for now, but it follows the plan, or does so no more.
            changes.append({"name": name, "was": _owned(was, was_own), "is": _owned(now, is_own)})
    return changes


def show_fields(
    tenant: Tenant, plans: Mapping[str, Quotas], given: Mapping[str, Any], faults: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A field for each quota; its help says what holds when it is empty."""
    of_plan = _plan_quotas(plans, tenant.plan)
    return [
        {
            "name": name,
            "label": NAMES.get(name, (name, ""))[0],
            "value": given.get(name, ""),
            "otherwise": _word(limit_of(of_plan, name)),
            "fault": faults.get(name, ""),
        }
        for name in DEFAULTS
    ]


def _plan_quotas(plans: Mapping[str, Quotas], plan: str | None) -> Quotas:
    return {} if plan is None else plans.get(plan, {})


def _word(limit: int | None) -> str:
    return _("no limit") if limit is None else f"{limit:,}"


def _owned(word: str, is_own: bool) -> str:
    return _("%(limit)s (its own)") % {"limit": word} if is_own else _("%(limit)s (not its own)") % {"limit": word}
