"""What a key may do: the scopes each operation declares, its networks and queues, and no writes while suspended."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.problems import ApiProblem
from tenants.api_keys import Credential

if TYPE_CHECKING:
    # At run time REST framework's views import this module by its name in the settings.
    from rest_framework.views import APIView

SUSPENDED = "suspended"


class HasDeclaredScopes(BasePermission):
    """Lets a request through that is within its key's rights; raises `ApiProblem` for the others."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or an exception that says what is missing."""
        credential = cast(Credential, request.auth)
        if credential.cidrs is not None and not is_inside(request.META.get("REMOTE_ADDR", ""), credential.cidrs):
            raise ApiProblem("forbidden", "The API key may not be used from this network address.")
        check_scopes(credential, view.required_scopes)  # type: ignore[attr-defined]  # ApiView has it, checked at start
        if credential.tenant_status == SUSPENDED and request.method not in SAFE_METHODS:
            raise ApiProblem("forbidden", "The tenant is suspended: it can read, but not write.")
        return True


def check_scopes(credential: Credential, wanted: Iterable[str]) -> None:
    """Pass when the key has every scope. Raises `ApiProblem` (`insufficient-scope`) naming those it lacks."""
    missing = sorted(set(wanted) - credential.scopes)
    if missing:
        raise ApiProblem("insufficient-scope", f"The API key lacks the scope {' and '.join(missing)}.")


def is_inside(address: str, cidrs: Iterable[str]) -> bool:
    """Whether the address lies in one of the networks; an IPv4 address written as IPv6 counts as itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    actual = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(actual in ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
