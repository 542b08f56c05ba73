"""Around every request: its id, the host it is meant for, the headers of every answer, and its one log event."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from api.errors import answer_status
from api.problems import MEDIA_TYPE, REQUEST_ID_KEY, SAFE_HEADERS, problem_response
from jobservice import ids
from jobservice.logs import log_event

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
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
            for name, value in SAFE_HEADERS.items():
                response.headers.setdefault(name, value)
            if isinstance(response, HttpResponse) and response.status_code != 204:
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
        response = self._get_response(request)
        return _as_problem(request, response)


def _request_id(request: HttpRequest) -> str:
    """The client's own id of the request when it is one, else a new one."""
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else ids.new_id().hex


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Django's own HTML for an unknown address, and for a fault outside of all views, becomes a problem document."""
    if response.status_code < 400 or response.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
        return response
    is_ours = request.resolver_match is None or request.path.startswith("/v1/")
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
