"""Redeeming an invitation: whoever has no account chooses a password; whoever has one logs in with it first."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from jobservice.client_address import client_address
from jobservice.errors import Invalid
from tenants.accounts import FIRST_EPOCH, find_account
from tenants.acting import acting_as
from tenants.console import places
from tenants.console.access import ANYONE, ConsoleView, standing_of
from tenants.console.actors import member_actor
from tenants.console.answers import refuse
from tenants.console.signing_in import enter, sign_in
from tenants.login_throttle import PASSWORD, take_try
from tenants.redemption import Invitation, find_invitation, redeem_as, redeem_with_password
from tenants.standing import read_standing

_OVER = "This invitation is spent, withdrawn, or its time is over. Ask for another one."


class Redeem(ConsoleView):
    permission = ANYONE
    has_secret_address = True

    def get(self, request: HttpRequest, text: str) -> HttpResponseBase:
        if (invitation := find_invitation(text)) is None:
            return refuse(request, 404, _(_OVER))
        return _show(request, invitation)

    def post(self, request: HttpRequest, text: str) -> HttpResponseBase:
        take_try(PASSWORD, account=None, address=client_address(request))
        if (invitation := find_invitation(text)) is None:
            return refuse(request, 404, _(_OVER))
        standing = standing_of(request)
        with acting_as(member_actor(request, invitation.member_id)):
            if standing is not None:
                redeem_as(text, standing.account_id)
                return _enter(request, standing.account_id, invitation)
            if find_account(invitation.email) is not None:
                return _ask_login(request)
            try:
                account_id = redeem_with_password(text, request.POST.get("password", ""))
            except Invalid as error:
                return _show(request, invitation, errors=[fault.detail for fault in error.faults])
        sign_in(request, account_id, epoch=FIRST_EPOCH, proof="invitation")
        return HttpResponseRedirect(places.HOME)


def _enter(request: HttpRequest, account_id: UUID, invitation: Invitation) -> HttpResponseBase:
    standing = read_standing(account_id)
    membership = None if standing is None else standing.in_tenant(invitation.tenant_id)
    if membership is not None:
        enter(request, membership)
    return HttpResponseRedirect(places.HOME)


def _ask_login(request: HttpRequest) -> HttpResponseBase:
    return HttpResponseRedirect(f"{places.LOGIN}?{urlencode({'next': request.path})}")


def _show(request: HttpRequest, invitation: Invitation, errors: list[str] | None = None) -> HttpResponseBase:
    standing = standing_of(request)
    content = {
        "invitation": invitation,
        "is_own": standing is not None and standing.email == invitation.email,
        "other": "" if standing is None or standing.email == invitation.email else standing.email,
        "has_account": find_account(invitation.email) is not None,
        "login": f"{places.LOGIN}?{urlencode({'next': request.path})}",
        "errors": errors or [],
    }
    return render(request, "console/invitation.html", content, status=422 if errors else 200)
