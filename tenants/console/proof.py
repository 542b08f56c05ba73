"""The step-up: whoever is logged in proves again who they are, before what may not be undone or gives rights away."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from jobservice.errors import Invalid
from jobservice.logs import log_event
from tenants.accounts import is_password_of
from tenants.console import passkeys
from tenants.console.access import OWN_ACCOUNT, ConsoleView
from tenants.console.answers import safe_next
from tenants.console.signing_in import step_up
from tenants.login_throttle import CODE, PASSWORD, take_held_try
from tenants.second_factors import PASSKEY, list_factors, verify_code


class StepUp(ConsoleView):
    """By the second factor of whoever has one: a password alone would prove less than the login did."""

    permission = OWN_ACCOUNT

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._show(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        account_id = self.standing.account_id
        kind = CODE if self.standing.has_factor else PASSWORD
        take_held_try(kind, account_id)
        if not self._is_proved(request):
            log_event("step_up_failed", level="warning", account_id=account_id)
            return self._show(request, error=_("That did not fit."))
        step_up(request)
        log_event("step_up_succeeded", account_id=account_id)
        return HttpResponseRedirect(safe_next(request))

    def _is_proved(self, request: HttpRequest) -> bool:
        account_id = self.standing.account_id
        if not self.standing.has_factor:
            return is_password_of(account_id, request.POST.get("password", ""))
        if credential := request.POST.get("credential", ""):
            try:
                passkeys.complete_authentication(credential, account_id=account_id)
            except Invalid:
                return False
            return True
        return verify_code(account_id, request.POST.get("code", "")[:20]) is not None

    def _show(self, request: HttpRequest, error: str = "") -> HttpResponseBase:
        content = {
            "has_factor": self.standing.has_factor,
            "has_passkey": any(one.type == PASSKEY for one in list_factors(self.standing.account_id)),
            "next": safe_next(request),
            "error": error,
        }
        return render(request, "console/step_up.html", content, status=422 if error else 200)


class StepUpOptions(ConsoleView):
    """The challenge for a passkey as the proof."""

    permission = OWN_ACCOUNT

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return JsonResponse(passkeys.authentication_options(self.standing.account_id))
