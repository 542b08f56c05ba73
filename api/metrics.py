"""`/metrics` in Prometheus' text format, of every process that shares this one's folder."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpResponse, HttpResponseBase
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.problems import ApiProblem
from api.rendering import ApiRenderer
from api.views import PublicView
from jobservice.meters import show_metrics
from jobservice.metrics_access import is_local, is_token


class ReadMetrics(PublicView):
    """No tenant's key opens it, and nothing in it is of one tenant."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """One form, whatever the scraper would like best."""
        return ApiRenderer(), ApiRenderer.media_type

    def get(self, request: Request) -> HttpResponseBase:
        """Everything that is counted."""
        if not _may_read(request):
            raise ApiProblem("forbidden", "Metrics are for this machine itself, or for the operator's metrics token.")
        return HttpResponse(show_metrics(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _may_read(request: Request) -> bool:
    if is_token(request.META.get("HTTP_AUTHORIZATION", ""), token=settings.ENVIRONMENT.metrics_token):
        return True
    return is_local(request.META.get("REMOTE_ADDR", ""), request.headers) and _is_meant_for_us(request)


def _is_meant_for_us(request: Request) -> bool:
    """A name that is not ours means a browser on this machine that was led here by somebody else's name."""
    try:
        request._request.get_host()
    except DisallowedHost:
        return False
    return True
