"""Which addresses the service may dial: the special-purpose networks as data, and the judgement of one address.

Source of the table: the IANA IPv4 and IPv6 Special-Purpose Address Registries, IANA's IPv6 unicast allocations (only
2000::/3 is handed out), and the cloud address that lies in public space. `ipaddress.is_global` is not used: it lets
NAT64, 6to4, multicast and cloud addresses through.
"""

from __future__ import annotations

import ipaddress
import socket

from jobservice.env import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# More specific rows stand before the networks around them, so that the first match names the best reason.
SPECIAL_NETWORKS: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private use"),
    ("100.64.0.0/10", "carrier-grade NAT, and the metadata address 100.100.100.200"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "Azure's host endpoint"),
    ("169.254.0.0/16", "link-local, and the metadata address 169.254.169.254"),
    ("172.16.0.0/12", "private use"),
    ("192.0.0.0/24", "IETF protocol assignments, and the metadata address 192.0.0.192"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT relay"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private use"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, and broadcast"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("64:ff9b:1::/48", "NAT64 of a local network"),
    ("100::/64", "discard"),
    ("100:0:0:1::/64", "dummy prefix"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "IETF protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)
_LOW_32 = 0xFFFF_FFFF


def _int_ranges(version: int) -> tuple[tuple[int, int, str], ...]:
    """The table as (first, last, reason): integers compare about ten times faster than network objects."""
    rows = ((ipaddress.ip_network(text), reason) for text, reason in SPECIAL_NETWORKS)
    return tuple(
        (int(network.network_address), int(network.broadcast_address), reason)
        for network, reason in rows
        if network.version == version
    )


_RANGES = {4: _int_ranges(4), 6: _int_ranges(6)}


def judge_address(address: Address, allow: tuple[Network, ...] = ()) -> str | None:
    """None when the address may be dialled, else a short reason that names the kind of network.

    An address inside `allow` may always be dialled. That holds for the address as written: `::ffff:127.0.0.1` is not
    inside 127.0.0.0/8. Addresses carried inside an IPv6 address are judged as well.
    """
    if is_inside(address, allow):
        return None
    reason = _special_use(address)
    if reason is not None:
        return reason
    for inner in embedded_addresses(address):
        reason = _special_use(inner)
        if reason is not None:
            return f"carries an address for {reason}"
    return None


def is_inside(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks holds this address, without unwrapping anything."""
    return any(network.version == address.version and address in network for network in networks)


def embedded_addresses(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Every IPv4 address that a known scheme would read out of an IPv6 address.

    Mapped and compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo server and client (RFC 4380)
    and ISATAP (RFC 5214).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    bits = int(address)
    if any(address in network for network in (_COMPATIBLE, NAT64, _NAT64_LOCAL)):
        found.append(ipaddress.IPv4Address(bits & _LOW_32))
    if (bits >> 32) & _LOW_32 in _ISATAP_MARKS:
        found.append(ipaddress.IPv4Address(bits & _LOW_32))
    return tuple(inner for inner in found if inner is not None)


def is_this_machine(address: Address) -> bool:
    """Whether a connection to the address would end on this machine."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        # The kernel lets a socket be bound only to an address of the machine; a datagram socket sends nothing.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _special_use(address: Address) -> str | None:
    bits = int(address)
    for first, last, reason in _RANGES[address.version]:
        if first <= bits <= last:
            return reason
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST and address not in NAT64:
        return "unallocated"
    return None
