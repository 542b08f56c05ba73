"""The tenant's requests per second at the API's door: one turn for each authenticated request, told in its headers.

Headers: draft-ietf-httpapi-ratelimit-headers. `r` is what this process knows to be left.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.problems import ApiProblem
from tenants.api_keys import Credential
from tenants.request_limits import admit_request, request_limit

if TYPE_CHECKING:
    # At run time REST framework's views import this module by its name in the settings.
    from rest_framework.views import APIView


class IsWithinRateLimit(BasePermission):
    """Takes a turn of the tenant's; raises `ApiProblem` (`rate-limited`) when none is left."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or the exception. Before the scopes are looked at, so that refusals cannot be had without end."""
        credential = cast(Credential, request.auth)
        limit = request_limit(credential.quotas)
        if limit is None:
            return True
        admission = admit_request(credential.tenant_id, limit)
        wait = max(1, math.ceil(admission.wait_seconds))
        # REST framework adds the view's headers to its answer, whatever becomes of the request.
        view.headers = {
            **view.headers,
            "RateLimit-Policy": f'"api";q={limit.rate};w=1',
            "RateLimit": f'"api";r={admission.remaining};t={wait}',
        }
        if not admission.is_admitted:
            detail = f"The tenant may make {limit.rate} requests a second, and {limit.burst} at once after a pause."
            raise ApiProblem("rate-limited", detail, headers={"Retry-After": str(wait)})
        return True
