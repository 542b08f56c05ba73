"""Begin and end of an operator's visit to a tenant's console; what it is, visits.py says."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _

from jobservice.errors import Invalid
from tenants.console import places
from tenants.console.access import STAFF, ConsoleView
from tenants.console.notices import tell
from tenants.console.operator_tenant import address_of, find_tenant_row, show_tenant
from tenants.console.visits import begin_visit, end_visit
from tenants.operators import parse_reason


class BeginVisit(ConsoleView):
    permission = STAFF
    step_up = True

    def post(self, request: HttpRequest, tenant_id: str) -> HttpResponseBase:
        tenant = find_tenant_row(tenant_id)
        try:
            reason = parse_reason(request.POST.get("reason", ""))
        except Invalid as error:
            return show_tenant(self, request, tenant, faults={"visit": error.faults[0].detail}, status=422)
        begin_visit(request, self.standing.account_id, tenant.id, reason=reason)
        return HttpResponseRedirect(places.HOME)


class EndVisit(ConsoleView):
    """Without a fresh proof: to look no more needs none."""

    permission = STAFF
    is_for_visitors = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id = end_visit(request)
        if tenant_id is None:
            return HttpResponseRedirect(places.OPERATOR)
        tell(request, "success", _("Your visit is over."))
        return HttpResponseRedirect(address_of(tenant_id))
