"""What the operator lets the service dial, and its two checks: of a URL when written, of an address when dialled.

A name can lead anywhere, so the first check refuses only what no answer of the DNS could make right; the second
decides.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from yarl import URL

from jobservice.egress.addresses import Address, embedded_addresses, is_inside, is_this_machine, judge_address
from jobservice.egress.own_inbox import inbox_network, inbox_origin, is_inbox_url
from jobservice.egress.urls import host_of, literal_address, parse_url
from jobservice.env import Environment, Network
from jobservice.errors import EgressRefused

LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_LOOPBACK_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_INNER_SUFFIXES = (".internal", ".local", ".localhost", ".arpa")


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Public addresses: `schemes` on `ports`. Addresses inside `allow`: http too, any port. `own`: never.

    `own` holds (host, port) pairs under which this service answers; an address there covers what reaches it too:
    0.0.0.0 every address of this machine, 127.0.0.1 all of loopback.
    """

    allow: tuple[Network, ...] = ()
    ports: tuple[int, ...] = (443, 8443)
    schemes: tuple[str, ...] = ("https",)
    own: tuple[tuple[str, int], ...] = ()
    # Where the inbox of `make run` is, beside which nothing of `own` is called; empty when there is none.
    inbox: str = ""


def build_policy(environment: Environment) -> EgressPolicy:
    """The policy that the operator's settings ask for."""
    own = [(_bare_host(environment.host), environment.port)]
    if environment.metrics_port:
        own.append((_bare_host(environment.metrics_host), environment.metrics_port))
    public = URL(environment.public_url)
    if public.raw_host and public.port:
        own.append((host_of(public), public.port))
    return EgressPolicy(
        allow=environment.egress_allow or (),
        ports=environment.egress_ports,
        schemes=environment.egress_schemes,
        own=tuple(dict.fromkeys(own)),
        inbox=inbox_origin(environment),
    )


def inbox_policy(policy: EgressPolicy) -> EgressPolicy:
    """For calls to the inbox, and no others: its one address, and nothing else."""
    return EgressPolicy(allow=(inbox_network(policy.inbox),), ports=(), schemes=())


def check_url(text: str, policy: EgressPolicy) -> URL:
    """The parsed URL, when it could be dialled under the policy.

    Raises `EgressRefused` with a sentence that names what is wrong. A pass is no promise: names are judged again when
    dialled.
    """
    url = parse_url(text)
    if is_inbox_url(text, policy.inbox):
        return url
    host, port = host_of(url), url.port or 0
    address = literal_address(host)
    # First what is dialled at all: whether an address inside is one of this machine's is told to nobody.
    if address is not None:
        _check_literal(policy, address)
    else:
        _check_name(policy, host, scheme=url.scheme, port=port)
    if _is_own_name(policy, host, port) or (address and _is_own_address(policy, address, port)):
        raise EgressRefused("The URL leads back to this service.", reason="own")
    return url


def check_address(policy: EgressPolicy, address: Address, *, scheme: str, port: int) -> None:
    """Pass when this address may be dialled now, on this port, for this scheme.

    Raises `EgressRefused`. Its sentence is the same for every kind of address: it must not map a network for strangers.
    """
    if _is_own_address(policy, address, port):
        raise EgressRefused("The host leads back to this service.", reason="own")
    if is_inside(address, policy.allow):
        return
    if judge_address(address) is not None:
        raise EgressRefused("The host has an address that the service does not dial.", reason="address")
    if not _is_public_origin(policy, scheme=scheme, port=port):
        raise EgressRefused(_public_rule(policy), reason="origin")


def is_localhost(host: str) -> bool:
    """Whether the name means loopback by definition (RFC 6761), so that no DNS is asked."""
    return host == "localhost" or host.endswith(".localhost")


def is_inner_name(host: str) -> bool:
    """Whether the name belongs to a private name space, and so may lead only to addresses that are allowed."""
    return "." not in host or host.endswith(_INNER_SUFFIXES)


def _check_literal(policy: EgressPolicy, address: Address) -> None:
    if is_inside(address, policy.allow):
        return
    reason = judge_address(address)
    if reason is not None:
        sentence = f"The host of the URL is an address that the service does not dial ({reason})."
        raise EgressRefused(sentence, reason="address")
    raise EgressRefused("The host of the URL must be a name, not an address.", reason="address")


def _check_name(policy: EgressPolicy, host: str, *, scheme: str, port: int) -> None:
    if is_localhost(host):
        if not any(_overlaps_loopback(network) for network in policy.allow):
            raise EgressRefused("The host of the URL is this machine.", reason="name")
    elif is_inner_name(host) and not policy.allow:
        raise EgressRefused("The host of the URL is a name of a private network.", reason="name")
    if not policy.allow and not _is_public_origin(policy, scheme=scheme, port=port):
        raise EgressRefused(_public_rule(policy), reason="origin")


def _overlaps_loopback(network: Network) -> bool:
    return any(network.version == other.version and network.overlaps(other) for other in _LOOPBACK_NETWORKS)


def _is_public_origin(policy: EgressPolicy, *, scheme: str, port: int) -> bool:
    return scheme in policy.schemes and port in policy.ports


def _public_rule(policy: EgressPolicy) -> str:
    schemes, ports = " or ".join(policy.schemes), ", ".join(map(str, policy.ports))
    return f"The URL must use {schemes} on one of the ports {ports}."


def _is_own_name(policy: EgressPolicy, host: str, port: int) -> bool:
    if is_localhost(host):
        return any(_is_own_address(policy, address, port) for address in LOOPBACK)
    return (host, port) in policy.own


def _is_own_address(policy: EgressPolicy, address: Address, port: int) -> bool:
    forms = (address, *embedded_addresses(address))
    return any(
        port == own_port and any(_is_reached_by(own_host, form) for form in forms) for own_host, own_port in policy.own
    )


def _is_reached_by(own_host: str, address: Address) -> bool:
    """Whether a listener bound to `own_host` gets a connection made to the address."""
    own = LOOPBACK[0] if is_localhost(own_host) else literal_address(own_host)
    if own is None:
        return False
    if own.is_loopback:
        return address.is_loopback or address.is_unspecified
    if own.is_unspecified:
        return is_this_machine(address)
    return own == address


def _bare_host(host: str) -> str:
    return host.strip("[]").removesuffix(".").lower()
