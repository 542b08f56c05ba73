"""Answers that are not a page of their own: a refusal as a page, a way back that leads nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import resolve
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from jobservice.errors import (
    Conflict,
    Forbidden,
    Invalid,
    JobserviceError,
    NotFound,
    QuotaExceeded,
    TooManyTries,
    Unavailable,
)
from jobservice.logs import log_event
from tenants.console.places import HOME

# The name of the address that takes whatever there is no page for.
_NOWHERE = "console-Elsewhere"
# What is away for a moment is asked for again after so long.
RETRY_SECONDS = 2
STATUSES: Mapping[type[JobserviceError], int] = {
    Invalid: 422,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    QuotaExceeded: 429,
    TooManyTries: 429,
    Unavailable: 503,
}
_TITLES = {
    403: _("You may not do that"),
    404: _("There is nothing here"),
    409: _("That cannot be done now"),
    411: _("The length is missing"),
    413: _("That is too much"),
    415: _("That is no form"),
    422: _("Something is not right with what was sent"),
    429: _("Too many tries"),
    503: _("Try again in a moment"),
}
# A limit of the tenant's has the status of too many tries, and is none.
_OF_QUOTA = _("A limit is reached")


class Turned(Exception):
    """The request is answered otherwise than by its page."""

    def __init__(self, answer: HttpResponseBase) -> None:
        super().__init__()
        self.answer = answer


def refuse(
    request: HttpRequest,
    status: int,
    sentence: str | Promise,
    *,
    title: str | Promise | None = None,
    retry_seconds: int | None = None,
) -> HttpResponse:
    """A page that says why not."""
    title = title or _TITLES.get(status, _("That did not work"))
    answer = render(request, "console/refusal.html", {"title": title, "sentence": sentence}, status=status)
    if retry_seconds is not None:
        answer["Retry-After"] = str(retry_seconds)
    return answer


def refuse_unknown(request: HttpRequest) -> HttpResponse:
    """The page of an address that there is not, or not for everybody: they cannot be told apart."""
    for name in ("person", "standing"):
        if hasattr(request, name):
            delattr(request, name)
    return refuse(request, 404, _("The address is wrong, or it belongs to somebody else."))


def refuse_error(request: HttpRequest, error: JobserviceError) -> HttpResponse:
    """The page of an error of the domain; one that is not listed is a fault of ours and is raised again."""
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            sentence = " ".join(fault.detail for fault in error.faults) if isinstance(error, Invalid) else error.detail
            title = _OF_QUOTA if isinstance(error, QuotaExceeded) else None
            return refuse(request, status, sentence, title=title, retry_seconds=_retry_seconds(error, status))
    raise error


def refuse_away(request: HttpRequest, error: Exception) -> HttpResponse:
    """The page of a database that is away, or too busy: nothing is wrong with the request."""
    log_event("database_away", level="warning", error_class=type(error.__cause__ or error).__name__)
    sentence = _("The service cannot reach its database just now; try again.")
    # No notices: they are read from the session, which is away as well.
    content = {"title": _TITLES[503], "sentence": sentence, "notices": ()}
    answer = render(request, "console/refusal.html", content, status=503)
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer


def refuse_forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that no page of ours sent, or one that lay open for too long. Django's `CSRF_FAILURE_VIEW`."""
    return refuse(request, 403, str(_("This form is not valid any more. Go back, load the page again and repeat it.")))


def _retry_seconds(error: JobserviceError, status: int) -> int | None:
    seconds: int | None = getattr(error, "retry_seconds", None)
    return RETRY_SECONDS if seconds is None and status == 503 else seconds


def safe_next(request: HttpRequest, default: str = HOME) -> str:
    """Where `next` of the form or the address leads, when that is a page of the console; else `default`."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return find_page(wanted) or default


def find_page(address: str) -> str | None:
    """The address of a page of the console; of an act, whose answer stood there and which takes forms only, that of the
    page above it. None for what is elsewhere.
    """
    if not _is_of_console(address):
        return None
    above = urlsplit(address).path
    if _has_page(above):
        return address
    while above.startswith(HOME) and not (_has_page(above) and resolve(above).url_name != _NOWHERE):
        above = above.rpartition("/")[0]
    return above if above.startswith(HOME) else HOME


def _has_page(path: str) -> bool:
    view = getattr(resolve(path).func, "view_class", None)
    return hasattr(view, "get") and not getattr(view, "is_part", False)


def _is_of_console(address: str) -> bool:
    return (
        address.startswith(HOME)
        # Neither a header nor the database takes control characters.
        and address.isprintable()
        and len(address) <= 2000
        and url_has_allowed_host_and_scheme(address, allowed_hosts=None, require_https=False)
    )
