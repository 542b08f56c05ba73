"""Who may read the metrics: somebody on this machine, or who has the operator's token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable

# A proxy that sets one of these speaks for somebody else, who may be anywhere.
FORWARDING_HEADERS = frozenset({"forwarded", "via", "client-ip", "true-client-ip", "x-client-ip", "x-real-ip"})
_FORWARDED_PREFIX = "x-forwarded-"


def is_token(authorization: str, *, token: str) -> bool:
    """Whether the Authorization header bears the operator's token. Never when there is none."""
    scheme, _, given = authorization.partition(" ")
    is_equal = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return bool(token) and scheme.lower() == "bearer" and is_equal


def is_local(peer: str, header_names: Iterable[str]) -> bool:
    """Whether the request comes from this machine itself and not through a proxy on it."""
    names = {name.lower() for name in header_names}
    is_forwarded = bool(names & FORWARDING_HEADERS) or any(name.startswith(_FORWARDED_PREFIX) for name in names)
    return _is_loopback(peer) and not is_forwarded


def is_local_name(host: str) -> bool:
    """Whether a Host header names this machine: a browser here may have been led to us under somebody else's name."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
