"""What holds for the whole tenant: its id, its limits, the second factor of its members, its default signing secret."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from jobservice.ids import TENANT, show_id
from jobservice.jobs.selectors import read_default_secret, rotate_default_secret
from tenants.api_key_requests import parse_rotation
from tenants.console.access import ConsoleView
from tenants.console.curl import show_curl
from tenants.console.key_form import OVERLAPS, read_overlap
from tenants.quotas import all_limits
from tenants.roles import READ, SETTINGS, WEBHOOKS
from tenants.tenancy import read_tenant


class SettingsPage(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return _show(self, request)


class RevealSecret(ConsoleView):
    """By a POST and after a fresh proof: whoever has it can sign in the tenant's name. Each look is written down."""

    permission = WEBHOOKS
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return _show(self, request, secret=read_default_secret(self.person.tenant_id))


class RotateDefaultSecret(ConsoleView):
    permission = WEBHOOKS
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        overlap = parse_rotation(read_overlap(request.POST))
        secret = rotate_default_secret(self.person.tenant_id, overlap_seconds=overlap)
        return _show(self, request, secret=secret, is_rotated=True)


def _show(
    view: ConsoleView, request: HttpRequest, *, secret: dict[str, str | None] | None = None, is_rotated: bool = False
) -> HttpResponseBase:
    person, tenant = view.person, read_tenant(view.person.tenant_id)
    context: dict[str, Any] = {
        "tenant": tenant,
        "tenant_id": show_id(TENANT, tenant.id),
        "limits": all_limits(tenant.quotas),
        "secret": secret,
        "is_rotated": is_rotated,
        "overlaps": OVERLAPS,
        "may_set": person.may(SETTINGS),
        "may_sign": person.may(WEBHOOKS),
        "curl": show_curl(request, "/v1/tenant"),
    }
    return render(request, "console/settings.html", context)
