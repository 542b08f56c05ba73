"""One tenant as its operator sees it: what it uses of its limits, who of the operators did what, and their acts."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Invalid, NotFound
from jobservice.ids import ACCOUNT, TENANT, parse_id, show_id
from jobservice.jobs.limits import apply_quotas
from jobservice.jobs.suspension import resume_tenant, suspend_tenant
from jobservice.jobs.usage_report import report_usage
from tenants.acting import OPERATOR
from tenants.audit_lists import AuditFilters, list_audit_events
from tenants.console.access import STAFF, ConsoleView
from tenants.console.notices import tell
from tenants.console.operator_form import LimitsForm, read_form, revision_of, show_changes, show_fields, show_form
from tenants.console.usage import show_quota
from tenants.context import tenant_tx
from tenants.models import AuditEvent, Tenant
from tenants.operators import OperatorSession, name_operators, operator_tx, parse_reason, read_plans
from tenants.plans import lock_plan, lock_tenant, move_to_plan
from tenants.tenancy import ERASED, set_weight

ACTS_SHOWN = 20


class OperatorTenant(ConsoleView):
    permission = STAFF

    def get(self, request: HttpRequest, tenant_id: str) -> HttpResponseBase:
        return show_tenant(self, request, find_tenant_row(tenant_id))


class ChangeTenantLimits(ConsoleView):
    """Weight, plan and quotas: what would change is shown first, and then done to the tenant that was looked at."""

    permission = STAFF
    step_up = True

    def post(self, request: HttpRequest, tenant_id: str) -> HttpResponseBase:
        tenant, plans = find_tenant_row(tenant_id), read_plans(self.operator)
        given = request.POST.dict()
        try:
            form = read_form(given, plans)
        except Invalid as error:
            faults = {fault.pointer.strip("/"): fault.detail for fault in error.faults}
            return show_tenant(self, request, tenant, form=given, faults=faults, status=422)
        changes = show_changes(tenant, form, plans)
        if not changes:
            tell(request, "info", _("Nothing was changed."))
        elif not given.get("confirmed"):
            return show_tenant(self, request, tenant, form=given, changes=changes)
        elif _change(self.operator, tenant.id, form, revision=given.get("revision", "")):
            tell(request, "success", _("The limits are changed, and hold from now on."))
        else:
            tell(request, "warning", _("Somebody else changed the tenant meanwhile. Look at it, and try again."))
        return HttpResponseRedirect(address_of(tenant.id))


class _SwitchTenant(ConsoleView):
    permission = STAFF
    step_up = True
    is_suspended: bool

    def post(self, request: HttpRequest, tenant_id: str) -> HttpResponseBase:
        tenant = find_tenant_row(tenant_id)
        try:
            reason = parse_reason(request.POST.get("reason", ""))
        except Invalid as error:
            return show_tenant(self, request, tenant, faults={"reason": error.faults[0].detail}, status=422)
        switch = suspend_tenant if self.is_suspended else resume_tenant
        with operator_tx(self.operator, tenant.id):
            switch(tenant.id, reason=reason)
        text = _("%(name)s is suspended: nothing of it starts.") if self.is_suspended else _("%(name)s goes on.")
        tell(request, "success", text % {"name": tenant.name})
        return HttpResponseRedirect(address_of(tenant.id))


class SuspendTenant(_SwitchTenant):
    is_suspended = True


class ResumeTenant(_SwitchTenant):
    is_suspended = False


def find_tenant_row(text: str) -> Tenant:
    """The tenant of this id, as it is itself allowed to see its row. Raises `NotFound`."""
    if (tenant_id := parse_id(TENANT, text)) is None:
        raise NotFound(_("There is no such tenant."))
    with tenant_tx(tenant_id):
        tenant = Tenant.objects.filter(id=tenant_id).exclude(status=ERASED).first()
    if tenant is None:
        raise NotFound(_("There is no such tenant."))
    return tenant


def address_of(tenant_id: UUID) -> str:
    """The operators' page of a tenant."""
    return reverse("console-OperatorTenant", kwargs={"tenant_id": show_id(TENANT, tenant_id)})


def show_tenant(
    view: ConsoleView,
    request: HttpRequest,
    tenant: Tenant,
    *,
    form: dict[str, Any] | None = None,
    faults: dict[str, str] | None = None,
    changes: list[dict[str, str]] | None = None,
    status: int = 200,
) -> HttpResponseBase:
    """The page, with a form as it was sent or as the tenant is."""
    plans, faults = read_plans(view.operator), faults or {}
    given = form if form is not None else show_form(tenant)
    context = {
        "tenant": tenant,
        "tenant_id": show_id(TENANT, tenant.id),
        "quotas": [show_quota(one) for one in report_usage(tenant.id, tenant.quotas)],
        "fields": show_fields(tenant, plans, given, faults),
        "plans": list(plans),
        "given": given,
        "faults": faults,
        "changes": changes,
        "revision": given.get("revision") or revision_of(tenant),
        "acts": _operators_acts(tenant.id),
    }
    return render(request, "console/operator_tenant.html", context, status=status)


def _change(session: OperatorSession, tenant_id: UUID, form: LimitsForm, *, revision: str) -> bool:
    """Make the change, each part of it an act of its own; False when the tenant is another one than was looked at."""
    with operator_tx(session, tenant_id):
        # The plan before the tenant, as everybody locks them.
        if form.plan is not None:
            lock_plan(form.plan)
        tenant = lock_tenant(tenant_id)
        if revision_of(tenant) != revision:
            return False
        if form.plan != tenant.plan or form.quotas.apply_to(tenant.own_quotas) != tenant.own_quotas:
            move_to_plan(tenant_id, form.plan, form.quotas)
        if form.weight != tenant.weight:
            set_weight(tenant_id, form.weight)
    apply_quotas([tenant_id])
    return True


def _operators_acts(tenant_id: UUID) -> list[dict[str, Any]]:
    """The newest acts of operators on the tenant, with the addresses of those who acted in the console.

    By the tenant as the object, for which there is an index: its own acts may be a million.
    """
    filters = AuditFilters(actor=OPERATOR, object=show_id(TENANT, tenant_id))
    events = list_audit_events(tenant_id, filters, limit=ACTS_SHOWN)
    accounts = {event.actor_id: parse_id(ACCOUNT, event.actor_id) for event in events}
    emails = name_operators({account for account in accounts.values() if account is not None})
    return [_act(event, accounts[event.actor_id], emails) for event in events]


def _act(event: AuditEvent, account: UUID | None, emails: dict[UUID, str]) -> dict[str, Any]:
    after = {} if event.after is None else json.loads(event.after)
    return {
        "at": event.at,
        "action": event.action,
        "who": event.actor_id if account is None else emails.get(account, event.actor_id),
        "command": event.command,
        "reason": after.get("reason", ""),
    }
