"""The tenants of an account, and the turn from one to another."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render

from jobservice.errors import NotFound
from jobservice.ids import TENANT, parse_id, show_id
from tenants.console import places
from tenants.console.access import OWN_ACCOUNT, ConsoleView
from tenants.console.signing_in import enter


class ChooseTenant(ConsoleView):
    permission = OWN_ACCOUNT

    def get(self, request: HttpRequest) -> HttpResponseBase:
        choices = [(show_id(TENANT, one.tenant_id), one) for one in self.standing.memberships]
        return render(request, "console/tenants.html", {"choices": choices})

    def post(self, request: HttpRequest) -> HttpResponseBase:
        wanted = parse_id(TENANT, request.POST.get("tenant", ""))
        membership = None if wanted is None else self.standing.in_tenant(wanted)
        if membership is None:
            raise NotFound("There is no such tenant, or you are not a member of it.")
        enter(request, membership)
        return HttpResponseRedirect(places.HOME)
