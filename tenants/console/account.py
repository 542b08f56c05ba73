"""One's own account: the password, and the sessions. Second factors are in `factors.py`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from jobservice.errors import Invalid, NotFound
from jobservice.logs import log_event
from tenants.accounts import change_password, is_password_of
from tenants.console import places
from tenants.console.access import OWN_ACCOUNT, ConsoleView
from tenants.console.signing_in import end_own_session, own_session, step_up
from tenants.login_sessions import end_session, end_sessions, list_sessions
from tenants.login_throttle import PASSWORD, take_held_try


class ShowAccount(ConsoleView):
    permission = OWN_ACCOUNT

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return _show(self, request)


class ChangePassword(ConsoleView):
    """The password so far is asked for, and whoever has a second factor has used it within ten minutes."""

    permission = OWN_ACCOUNT
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        account_id = self.standing.account_id
        take_held_try(PASSWORD, account_id)
        if not is_password_of(account_id, request.POST.get("current", "")):
            log_event("login_failed", level="warning", kind="password", account_id=account_id)
            return _show(self, request, errors=[_("The password so far is wrong.")])
        try:
            change_password(
                account_id,
                request.POST.get("password", ""),
                kept_session=own_session(request),
                epoch=self.standing.login_epoch,
            )
        except Invalid as error:
            return _show(self, request, errors=[fault.detail for fault in error.faults])
        step_up(request)
        return HttpResponseRedirect(places.ACCOUNT)


class EndSession(ConsoleView):
    permission = OWN_ACCOUNT

    def post(self, request: HttpRequest, session: str) -> HttpResponseBase:
        if not end_session(self.standing.account_id, session):
            raise NotFound("There is no such session, or it is over.")
        if session == own_session(request):
            return end_own_session(request)
        return HttpResponseRedirect(places.ACCOUNT)


class EndOtherSessions(ConsoleView):
    permission = OWN_ACCOUNT

    def post(self, request: HttpRequest) -> HttpResponseBase:
        end_sessions(self.standing.account_id, kept=own_session(request))
        return HttpResponseRedirect(places.ACCOUNT)


def _show(view: ConsoleView, request: HttpRequest, errors: list[str] | None = None) -> HttpResponseBase:
    content = {
        "sessions": list_sessions(view.standing.account_id),
        "own": own_session(request),
        "errors": errors or [],
    }
    return render(request, "console/account.html", content, status=422 if errors else 200)
