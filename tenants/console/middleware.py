"""What stands around the console's pages, and around no other address: files, headers, sessions, bounds of bodies.

The API is not reached through any of it: it opens no session, whatever cookie a request brings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.core.context import request_context
from csp.middleware import CSPMiddleware
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.gzip import GZipMiddleware
from django.utils.translation import get_language_from_request, override
from django.utils.translation import gettext as _
from whitenoise.middleware import WhiteNoiseMiddleware

from jobservice.database import is_database_away
from tenants.console.access import LIVE
from tenants.console.answers import refuse, refuse_away

Answer = Callable[[HttpRequest], HttpResponseBase]

ROOT = "/console"
_FORM = "application/x-www-form-urlencoded"
# What a form of a page may send, unless its view says otherwise (`body_limit`).
BODY_LIMIT = 64 * 1024
# Of a page whose address is a secret: even to ourselves only the origin is named.
_ORIGIN_ONLY = "strict-origin"
# The content security policy is django-csp's, in the settings; that nothing is cached, and TLS only, the outermost
# middleware says.
HEADERS = {
    # Not "no-referrer": forms would then be sent with no origin, which the check against forgery needs.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
    "publickey-credentials-get=(self), publickey-credentials-create=(self)",
}


class ConsoleSessions(SessionMiddleware):
    """Django's, but a cookie that opens nothing is left alone: a late answer must not take away the one after it. And
    what a page asks for by itself keeps no session alive: nobody need be there.
    """

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.session.is_used = LIVE not in request.headers  # type: ignore[attr-defined]  # our own store

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = request.session
        if session.is_empty() and not session.was_ended:  # type: ignore[attr-defined]  # our own store
            return response
        return super().process_response(request, response)


class ConsoleMiddleware:
    """Hands a request of the console through the console's layers, and every other one on as it is."""

    def __init__(self, get_response: Answer) -> None:
        self._get_response = get_response
        layered: Answer = GZipMiddleware(CSPMiddleware(ConsoleSessions(get_response)))  # type: ignore[assignment]
        self._console = WhiteNoiseMiddleware(layered)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_of_console(request.path):
            return self._get_response(request)
        with request_context(request), override(get_language_from_request(request)):
            try:
                response: HttpResponseBase = self._console(request)
            except SessionInterrupted:
                # It was ended, by another page or person, while this request was under way.
                response = HttpResponseRedirect(f"{ROOT}/login")
            except Error as error:
                # Away between the page and the saving of its session.
                if not is_database_away(error):
                    raise
                response = _without_session(request, error)
        if request.resolver_match and getattr(_view_class(request.resolver_match.func), "has_secret_address", False):
            response["Referrer-Policy"] = _ORIGIN_ONLY
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def process_view(self, request: HttpRequest, view: Any, _arguments: Any, _named: Any) -> HttpResponseBase | None:
        """Before anything of a body is read: also before the check against forgery, which looks for its token there."""
        if not is_of_console(request.path):
            return None
        return _refuse_body(request, limit=getattr(_view_class(view), "body_limit", BODY_LIMIT))


def _view_class(view: Any) -> Any:
    return getattr(view, "view_class", None)


def _refuse_body(request: HttpRequest, *, limit: int) -> HttpResponseBase | None:
    """Strangers send forms too: none may fill memory or a disk, so there are no files and no bodies without an end."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return refuse(request, 411, _("The console takes a form only whose length is said before it."))
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
        return refuse(request, 413, _("This is more than the page takes."))
    if request.method == "POST" and request.content_type not in ("", _FORM):
        return refuse(request, 415, _("The console takes forms only, and no files."))
    return None


def _without_session(request: HttpRequest, error: Exception) -> HttpResponseBase:
    """The page that says so, under the policy that the layers would have given it."""
    answer: HttpResponseBase = CSPMiddleware(lambda _: refuse_away(request, error))(request)  # type: ignore[assignment]
    return answer


def is_of_console(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")
