"""Logging in and out: a password, then the second factor of whoever has one; or a passkey alone, which is both."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from jobservice.client_address import client_address
from jobservice.errors import Invalid
from jobservice.logs import log_event
from tenants.accounts import check_login
from tenants.console import passkeys, places
from tenants.console.access import ANYONE, ConsoleView, standing_of
from tenants.console.answers import safe_next
from tenants.console.reset import can_send_mail
from tenants.console.session_store import EPOCH
from tenants.console.signing_in import PENDING_NEXT, begin_second_factor, end_own_session, pending_account, sign_in
from tenants.console.visits import end_visit
from tenants.login_throttle import PASSWORD, account_name, take_second_step, take_try
from tenants.second_factors import PASSKEY, accounts_with_factors, list_factors, verify_code


class LogIn(ConsoleView):
    permission = ANYONE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if standing_of(request) is not None:
            return HttpResponseRedirect(safe_next(request))
        return _show_login(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        email, password = request.POST.get("email", "").strip(), request.POST.get("password", "")
        take_try(PASSWORD, account=account_name(email), address=client_address(request))
        account = check_login(email, password)
        if account is None:
            log_event("login_failed", level="warning", kind="password")
            return _show_login(request, error=_("The address or the password is wrong."))
        if accounts_with_factors([account.id]):
            begin_second_factor(request, account.id, epoch=account.login_epoch, wanted=safe_next(request))
            return HttpResponseRedirect(places.SECOND_FACTOR)
        sign_in(request, account.id, epoch=account.login_epoch, proof="password")
        return HttpResponseRedirect(safe_next(request))


class SecondFactor(ConsoleView):
    permission = ANYONE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if pending_account(request) is None:
            return HttpResponseRedirect(places.LOGIN)
        return self._show(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        account_id = pending_account(request)
        if account_id is None:
            return HttpResponseRedirect(places.LOGIN)
        take_second_step(account_id)
        try:
            if credential := request.POST.get("credential", ""):
                passkeys.complete_authentication(credential, account_id=account_id)
                kind: str | None = PASSKEY
            else:
                kind = verify_code(account_id, request.POST.get("code", "")[:20])
        except Invalid:
            kind = None
        if kind is None:
            log_event("login_failed", level="warning", kind="second factor", account_id=account_id)
            return self._show(request, error=_("That did not fit. Each code is good once: wait for the next one."))
        wanted, epoch = request.session.get(PENDING_NEXT) or places.HOME, request.session[EPOCH]
        sign_in(request, account_id, epoch=epoch, proof=f"password and {kind}")
        return HttpResponseRedirect(wanted)

    def _show(self, request: HttpRequest, error: str = "") -> HttpResponseBase:
        account_id = pending_account(request)
        factors = [] if account_id is None else list_factors(account_id)
        content = {"has_passkey": any(one.type == PASSKEY for one in factors), "error": error}
        return render(request, "console/second_factor.html", content, status=422 if error else 200)


class SecondFactorOptions(ConsoleView):
    """The challenge for a passkey as the second factor."""

    permission = ANYONE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        if (account_id := pending_account(request)) is None:
            return JsonResponse({}, status=401)
        return JsonResponse(passkeys.authentication_options(account_id))


class PasskeyOptions(ConsoleView):
    """The challenge for a passkey in place of a password: nobody has said who they are."""

    permission = ANYONE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        take_try(PASSWORD, account=None, address=client_address(request))
        return JsonResponse(passkeys.authentication_options(None))


class PasskeyLogIn(ConsoleView):
    permission = ANYONE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        # No try: it was counted with the challenge, without which this is refused, and which is good once.
        try:
            account = passkeys.complete_authentication(request.POST.get("credential", ""), account_id=None)
        except Invalid as error:
            log_event("login_failed", level="warning", kind=PASSKEY)
            return _show_login(request, error=error.faults[0].detail)
        sign_in(request, account.id, epoch=account.login_epoch, proof=PASSKEY)
        return HttpResponseRedirect(safe_next(request))


class LogOut(ConsoleView):
    permission = ANYONE
    is_for_visitors = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        end_visit(request)
        return end_own_session(request)


def _show_login(request: HttpRequest, error: str = "") -> HttpResponseBase:
    content = {
        "error": error,
        "email": request.POST.get("email", ""),
        "next": safe_next(request),
        "can_reset": can_send_mail(),
    }
    return render(request, "console/login.html", content, status=422 if error else 200)
