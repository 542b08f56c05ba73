"""Where a request comes from: the peer, or behind proxies that the operator trusts the client they name; and its id."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where the outermost middleware leaves the id of a request.
REQUEST_ID_KEY = "jobservice.request_id"
# Some proxies add the port: 192.0.2.1:4711 or [2001:db8::1]:4711.
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
_MAX_HOPS = 20


def client_address(request: HttpRequest) -> Address | None:
    """The address of the client; None when it cannot be told, which is inside of no network.

    X-Forwarded-For is read from its right end, where the proxies nearest to us wrote, and only as far as trusted
    proxies reach: what stands further left is the client's own word.
    """
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    trusted = settings.ENVIRONMENT.trusted_proxies
    if not trusted or address is None or not is_inside(address, trusted):
        return address
    for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")[: -_MAX_HOPS - 1 : -1]:
        if not hop.strip() and address is not None:
            continue
        address = parse_address(hop)
        if address is None or not is_inside(address, trusted):
            return address
    return address


def parse_address(text: str) -> Address | None:
    """The address of a text; an IPv4 address written as IPv6 is itself, a zone is no part of it."""
    match = _WITH_PORT.fullmatch(text.strip())
    plain = (match[1] or match[2]) if match else text.strip()
    try:
        parsed = ipaddress.ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_inside(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    return address is not None and any(address in network for network in networks)
