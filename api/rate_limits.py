"""The tenant's requests per second at the API's door: one turn for each authenticated request, told in its headers.

Headers: draft-ietf-httpapi-ratelimit-headers. `q` in `w` seconds is the burst and how long it takes to grow again, so
that `r`, what this process knows to be left, is never more than `q`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast
from uuid import UUID

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.problems import ApiProblem
from tenants.request_limits import BURST_SECONDS, admit_request, request_limit

if TYPE_CHECKING:
    # At run time REST framework's views import this module by its name in the settings.
    from rest_framework.views import APIView


class Caller(Protocol):
    """For whom a request is made: who has an API key, or a completion URL."""

    @property
    def tenant_id(self) -> UUID: ...
    @property
    def quotas(self) -> Mapping[str, int | None]: ...


class IsWithinRateLimit(BasePermission):
    """Takes a turn of the tenant's; raises `ApiProblem` (`rate-limited`) when none is left."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or the exception. Before the scopes are looked at, so that refusals cannot be had without end."""
        caller = cast(Caller, request.auth)
        limit = request_limit(caller.quotas)
        if limit is None:
            return True
        admission = admit_request(caller.tenant_id, limit)
        wait = max(1, math.ceil(admission.wait_seconds))
        # REST framework adds the view's headers to its answer, whatever becomes of the request.
        view.headers = {
            **view.headers,
            "RateLimit-Policy": f'"api";q={limit.burst};w={BURST_SECONDS}',
            "RateLimit": f'"api";r={admission.remaining};t={wait}',
        }
        if not admission.is_admitted:
            detail = f"The tenant may make {limit.rate} requests a second, and {limit.burst} at once after a pause."
            raise ApiProblem("rate-limited", detail, headers={"Retry-After": str(wait)})
        return True
