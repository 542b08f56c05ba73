"""Operations on the secrets that a tenant's receivers verify our requests with."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from api.queries import read_no_parameters
from api.views import ApiView
from jobservice.jobs.selectors import read_default_secret


class ReadDefaultSecret(ApiView):
    required_scopes = frozenset({"webhooks:write"})

    def get(self, request: Request) -> Response:
        """The default secret."""
        read_no_parameters(request)
        return Response(read_default_secret(self.credential.tenant_id))
