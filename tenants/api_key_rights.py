"""What a key may do, and the one rule between two keys: what one key makes can never do more than itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class KeyRights:
    """Scopes, and the queues and networks a key is limited to (None: all), and its end (None: never)."""

    scopes: frozenset[str]
    queues: tuple[str, ...] | None = None
    cidrs: tuple[str, ...] | None = None
    expires_at: datetime | None = None


def find_excess(child: KeyRights, *, parent: KeyRights) -> str | None:
    """A sentence about the first thing the child could do that its parent cannot; None when there is none."""
    return (
        find_scope_excess(child.scopes, parent=parent)
        or _queue_excess(child, parent)
        or _network_excess(child, parent)
        or _end_excess(child, parent)
    )


def find_scope_excess(scopes: frozenset[str], *, parent: KeyRights) -> str | None:
    """A sentence about scopes that the parent lacks; None when there is none."""
    missing = sorted(scopes - parent.scopes)
    return f"That takes a key with the scope {' and '.join(missing)} of its own." if missing else None


def _queue_excess(child: KeyRights, parent: KeyRights) -> str | None:
    if parent.queues is None or (child.queues is not None and set(child.queues) <= set(parent.queues)):
        return None
    return f"The API key is limited to the queues {', '.join(parent.queues)}, and so is every key it governs."


def _network_excess(child: KeyRights, parent: KeyRights) -> str | None:
    if parent.cidrs is None:
        return None
    if child.cidrs is not None:
        outer = _collapse(parent.cidrs)
        if all(any(_is_within(ip_network(cidr, strict=False), network) for network in outer) for cidr in child.cidrs):
            return None
    return f"The API key is limited to the networks {', '.join(parent.cidrs)}, and so is every key it governs."


def _end_excess(child: KeyRights, parent: KeyRights) -> str | None:
    if parent.expires_at is None or (child.expires_at is not None and child.expires_at <= parent.expires_at):
        return None
    return "No key may outlive the API key that makes or rotates it; give an expires_at no later than its own."


def _collapse(cidrs: Iterable[str]) -> list[Network]:
    """Two halves given apart are one network, and what lies in both halves lies within."""
    networks = [ip_network(cidr, strict=False) for cidr in cidrs]
    fours = [network for network in networks if isinstance(network, IPv4Network)]
    sixes = [network for network in networks if isinstance(network, IPv6Network)]
    return [*collapse_addresses(fours), *collapse_addresses(sixes)]


def _is_within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # the versions agree
