"""Who asks: an API key in the Authorization header, and nothing else. No cookie ever authenticates the API."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from api.problems import ApiProblem
from tenants.api_keys import Credential, authenticate

_CHALLENGE = 'Bearer realm="jobservice"'
_MAX_CHARACTERS = 200


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer js_live_…` → the key's `Credential`, as the request's `auth` and `user`."""

    def authenticate(self, request: Request) -> tuple[Credential, Credential]:
        """The credential. Raises `ApiProblem` (`unauthenticated`), the same for every wrong key."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            raise _refusal("The request has no Authorization header.", challenge=_CHALLENGE)
        scheme, _, text = header.partition(" ")
        credential = authenticate(text.strip()) if scheme.lower() == "bearer" and len(text) <= _MAX_CHARACTERS else None
        if credential is None:
            raise _refusal("The API key is not valid.", challenge=f'{_CHALLENGE}, error="invalid_token"')
        return credential, credential

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return _CHALLENGE


def _refusal(detail: str, *, challenge: str) -> ApiProblem:
    return ApiProblem("unauthenticated", detail, headers={"WWW-Authenticate": challenge})
