"""Who asks: an API key in the Authorization header, and nothing else. No cookie ever authenticates the API."""

from __future__ import annotations

from ipaddress import ip_network

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from api.key_uses import note_use_after_answer
from api.problems import ApiProblem
from api.wrong_keys import wrong_keys
from jobservice.client_address import Network, client_address, is_inside
from tenants.api_key_format import parse_api_key
from tenants.api_keys import Credential, authenticate

_CHALLENGE = 'Bearer realm="jobservice"'
_MAX_CHARACTERS = 200


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer js_live_…` → the key's `Credential`, as the request's `auth` and `user`."""

    def authenticate(self, request: Request) -> tuple[Credential, Credential]:
        """The credential. Raises `ApiProblem`: `unauthenticated`, the same for every wrong key, `forbidden` for a
        right one that is used from a network it is not meant for, and `rate-limited` after too many of either.
        """
        text = _read_key(request)
        address = client_address(request._request)
        wrong_keys.check(address, text)
        credential = authenticate(text)
        if credential is None:
            wrong_keys.note_wrong(address)
            raise _wrong_key()
        # Here and not with the scopes: a stolen key used from elsewhere must not use up the tenant's requests either.
        if credential.cidrs is not None and not is_inside(address, map(_network, credential.cidrs)):
            wrong_keys.note_wrong(address)
            raise ApiProblem("forbidden", "The API key may not be used from this network address.")
        wrong_keys.note_right(text)
        note_use_after_answer(credential)
        return credential, credential

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return _CHALLENGE


def _read_key(request: Request) -> str:
    """A well-formed key. What is none costs no lookup."""
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        raise _refusal("The request has no Authorization header.", challenge=_CHALLENGE)
    scheme, _, text = header.partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or len(text) > _MAX_CHARACTERS or parse_api_key(text) is None:
        raise _wrong_key()
    return text


def _network(cidr: str) -> Network:
    return ip_network(cidr, strict=False)


def _wrong_key() -> ApiProblem:
    return _refusal("The API key is not valid.", challenge=f'{_CHALLENGE}, error="invalid_token"')


def _refusal(detail: str, *, challenge: str) -> ApiProblem:
    return ApiProblem("unauthenticated", detail, headers={"WWW-Authenticate": challenge})
