"""Choosing another password by a link: sent by mail where the operator has set mail up, else printed by a command."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from jobservice.client_address import client_address
from jobservice.errors import Invalid
from tenants.accounts import find_reset, redeem_reset
from tenants.console.access import ANYONE, ConsoleView
from tenants.console.answers import refuse
from tenants.login_throttle import RESET, account_name, take_try
from tenants.mail import can_send, send_reset_link
from tenants.members import EMAIL_LIMIT

_OVER = "This link is spent, or its time is over. Ask for another one."


def can_send_mail() -> bool:
    return can_send(settings.ENVIRONMENT)


class AskReset(ConsoleView):
    """The same answer whether or not there is an account; the mail is made by a thread after it."""

    permission = ANYONE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if not can_send_mail():
            return refuse(request, 404, _("Mail is not set up here. Ask the operator of the service for a link."))
        return render(request, "console/reset_ask.html")

    def post(self, request: HttpRequest) -> HttpResponseBase:
        if not can_send_mail():
            return self.get(request)
        email = request.POST.get("email", "").strip()[:EMAIL_LIMIT]
        take_try(RESET, account=account_name(email), address=client_address(request))
        send_reset_link(email)
        return render(request, "console/reset_ask.html", {"is_sent": True})


class Reset(ConsoleView):
    permission = ANYONE
    has_secret_address = True

    def get(self, request: HttpRequest, text: str) -> HttpResponseBase:
        if (account := find_reset(text)) is None:
            return refuse(request, 404, _(_OVER))
        return render(request, "console/reset.html", {"email": account.email})

    def post(self, request: HttpRequest, text: str) -> HttpResponseBase:
        take_try(RESET, account=None, address=client_address(request))
        try:
            redeem_reset(text, request.POST.get("password", ""))
        except Invalid as error:
            content = {"errors": [fault.detail for fault in error.faults]}
            return render(request, "console/reset.html", content, status=422)
        request.session.flush()
        return render(request, "console/reset.html", {"is_done": True})
