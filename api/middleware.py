"""Around every request: its id, the host it is meant for, the headers of every answer, and its one log event."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from api.errors import answer_error, answer_status
from api.problems import MEDIA_TYPE, problem_response, safe_headers
from jobservice import ids
from jobservice.client_address import REQUEST_ID_KEY
from jobservice.egress.headers import LOOP_HEADER
from jobservice.egress.own_inbox import is_inbox_path
from jobservice.errors import KeyProviderAway
from jobservice.logs import log_event
from tenants.root_keys import root_keyring

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_MARK_KEY = "HTTP_" + LOOP_HEADER.upper().replace("-", "_")
# Probes and scrapes come from machines that know an address, not a name; they come each second and say nothing new.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestMiddleware:
    """The outermost layer, so that nothing is answered without it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = _request_id(request)
        request.META[REQUEST_ID_KEY] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self._answer(request)
            response["X-Request-Id"] = request_id
            for name, value in safe_headers().items():
                response.headers.setdefault(name, value)
            # Of a 304 it would be the length of what is not sent (RFC 9110, 8.6), which nobody has at hand.
            if isinstance(response, HttpResponse) and response.status_code not in (204, 304):
                response["Content-Length"] = str(len(response.content))
                if request.method == "HEAD":
                    response.content = b""
            _log_answer(request, response, duration_ms=round((time.perf_counter() - started) * 1000, 1))
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if request.path not in _PROBES:
                request.get_host()
        except DisallowedHost:
            return problem_response(request, "bad-request", "The service does not answer for the host of this request.")
        try:
            if _is_from_us(request) and not _is_for_inbox(request):
                return problem_response(request, "bad-request", "The service does not call itself.")
        except KeyProviderAway as error:
            return answer_error(request, error)
        response = self._get_response(request)
        return _as_problem(request, response)


def _is_from_us(request: HttpRequest) -> bool:
    """Whether a job or a callback of this very installation made the request, under whatever name it found us."""
    mark: str = request.META.get(_MARK_KEY, "")
    return mark != "" and mark.isascii() and root_keyring().is_own_mark(mark)


def _is_for_inbox(request: HttpRequest) -> bool:
    """Whether it is a callback to the inbox of `make run`, which looks at the mark itself."""
    is_there: bool = settings.ENVIRONMENT.dev_inbox
    return is_there and request.method == "POST" and is_inbox_path(request.path)


def _request_id(request: HttpRequest) -> str:
    """The client's own id of the request when it is one, else a new one."""
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else ids.new_id().hex


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Django's own HTML for an unknown address, and for a fault outside of all views, becomes a problem document."""
    if response.status_code < 400 or response.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
        return response
    is_ours = request.resolver_match is None or request.path.startswith(("/v1/", "/dev/"))
    return answer_status(request, response.status_code) if is_ours else response


def _log_answer(request: HttpRequest, response: HttpResponseBase, *, duration_ms: float) -> None:
    credential = getattr(request, "auth", None)
    log_event(
        "request_answered",
        level="debug" if request.path in _PROBES else "info",
        method=request.method if request.method in _METHODS else "other",
        # The pattern, never the path: a path may hold what a stranger typed.
        route=request.resolver_match.route if request.resolver_match else "none",
        status=response.status_code,
        duration_ms=duration_ms,
        tenant_id=None if credential is None else credential.tenant_id,
    )
