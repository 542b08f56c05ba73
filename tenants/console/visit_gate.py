"""What an operator on a visit may do: look. It is asked for every page, also for those that are open to everybody; what
a visit is, and how it begins and ends, visits.py says.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _

from tenants.console import places
from tenants.console.answers import Turned, refuse
from tenants.console.notices import tell
from tenants.console.person import know_person
from tenants.console.visits import Visit, end_visit, find_visit, is_visit_over
from tenants.standing import Standing


def admit_visit(request: HttpRequest, standing: Standing, *, may_act: bool) -> Visit | None:
    """The visit that the session is on, None without one.

    Raises `Turned` for one whose time is over, and for every method but GET and HEAD unless `may_act`.
    """
    visit = find_visit(request, standing)
    if is_visit_over(request, visit):
        raise Turned(_leave_visit(request, standing))
    if visit is None:
        return None
    know_person(request, standing, visit.membership, visit)  # so that the refusal stands under the banner, too
    if not may_act and not is_look(request):
        raise Turned(refuse(request, 403, _("You are on a visit, to look only. End it before you change anything.")))
    return visit


def is_look(request: HttpRequest) -> bool:
    return request.method in ("GET", "HEAD")


def _leave_visit(request: HttpRequest, standing: Standing) -> HttpResponseBase:
    """Its time is over, or the tenant is gone, or who looked is no operator any more."""
    end_visit(request)
    tell(request, "info", _("Your visit is over."))
    return HttpResponseRedirect(places.OPERATOR if standing.is_staff else places.HOME)
