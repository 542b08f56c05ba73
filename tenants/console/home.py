"""Where a login leads to, and what an address shows that there is no page for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from tenants.console.access import ANYONE, ConsoleView
from tenants.console.answers import refuse_unknown
from tenants.console.overview import Overview
from tenants.roles import READ


class Home(Overview):
    """The overview."""

    permission = READ


class Elsewhere(ConsoleView):
    permission = ANYONE

    def get(self, request: HttpRequest, rest: str) -> HttpResponseBase:
        return refuse_unknown(request)
