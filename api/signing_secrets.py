"""Operations on the secrets that a tenant's receivers verify our requests with."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_optional_body
from api.queries import read_no_parameters
from api.views import ApiView
from jobservice.jobs.selectors import read_default_secret, rotate_default_secret
from jobservice.webhooks.signing_choice import Signing
from tenants.api_key_requests import parse_rotation

# How long the secret until now signs beside a new one, unless the request says otherwise.
OVERLAP_SECONDS = 86_400


class ReadDefaultSecret(ApiView):
    required_scopes = frozenset({"webhooks:write"})
    # It signs what is sent of every queue, and whoever has it can sign so too.
    needs_every_queue = True

    def get(self, request: Request) -> Response:
        """The default secret."""
        read_no_parameters(request)
        return Response(read_default_secret(self.credential.tenant_id))


class RotateDefaultSecret(ApiView):
    required_scopes = frozenset({"webhooks:write"})
    needs_every_queue = True

    def post(self, request: Request) -> Response:
        """Make a new default secret: 200 with it; the one until now signs beside it for the overlap."""
        read_no_parameters(request)
        overlap_seconds = read_overlap(request)
        return Response(rotate_default_secret(self.credential.tenant_id, overlap_seconds=overlap_seconds))


def represent_signing(signing: Signing, *, public_key: str | None, secret: str | None) -> dict[str, Any]:
    """How a receiver's requests are signed, as the API shows it; `secret` to whoever has just made it."""
    return {**signing, "public_key": public_key} | ({} if secret is None else {"secret": secret})


def read_overlap(request: Request) -> int:
    """The overlap that a rotation asks for, in seconds. Raises `Invalid`."""
    return parse_rotation(read_optional_body(request), unless_given=OVERLAP_SECONDS)
