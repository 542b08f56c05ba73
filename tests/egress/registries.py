"""The special-purpose address registries of IANA with their column "Globally Reachable", and what lies beside them.

Typed in apart from the table in `jobservice/egress/addresses.py`: a slip in one of the two shows.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from jobservice.egress.addresses import Address
from jobservice.env import Network

# "N/A" of the registries (Teredo, 6to4, deprecated blocks) is written as False: nobody promises that they are reached.
REGISTRIES: tuple[tuple[str, bool], ...] = (
    # IPv4 Special-Purpose Address Registry
    ("0.0.0.0/8", False),
    ("0.0.0.0/32", False),
    ("10.0.0.0/8", False),
    ("100.64.0.0/10", False),
    ("127.0.0.0/8", False),
    ("169.254.0.0/16", False),
    ("172.16.0.0/12", False),
    ("192.0.0.0/24", False),
    ("192.0.0.0/29", False),
    ("192.0.0.8/32", False),
    ("192.0.0.9/32", True),
    ("192.0.0.10/32", True),
    ("192.0.0.170/32", False),
    ("192.0.0.171/32", False),
    ("192.0.2.0/24", False),
    ("192.31.196.0/24", True),
    ("192.52.193.0/24", True),
    ("192.88.99.0/24", False),
    ("192.88.99.2/32", False),
    ("192.168.0.0/16", False),
    ("192.175.48.0/24", True),
    ("198.18.0.0/15", False),
    ("198.51.100.0/24", False),
    ("203.0.113.0/24", False),
    ("240.0.0.0/4", False),
    ("255.255.255.255/32", False),
    # IPv4 Multicast Address Space Registry
    ("224.0.0.0/4", False),
    # IPv6 Special-Purpose Address Registry
    ("::1/128", False),
    ("::/128", False),
    ("::ffff:0:0/96", False),
    ("64:ff9b::/96", True),
    ("64:ff9b:1::/48", False),
    ("100::/64", False),
    ("100:0:0:1::/64", False),
    ("2001::/23", False),
    ("2001::/32", False),
    ("2001:1::1/128", True),
    ("2001:1::2/128", True),
    ("2001:1::3/128", True),
    ("2001:2::/48", False),
    ("2001:3::/32", True),
    ("2001:4:112::/48", True),
    ("2001:10::/28", False),
    ("2001:20::/28", True),
    ("2001:30::/28", True),
    ("2001:db8::/32", False),
    ("2002::/16", False),
    ("2620:4f:8000::/48", True),
    ("3fff::/20", False),
    ("5f00::/16", False),
    ("fc00::/7", False),
    ("fe80::/10", False),
    # Internet Protocol Version 6 Address Space: only 2000::/3 is handed out as global unicast
    ("::/0", False),
    ("2000::/3", True),
    ("fec0::/10", False),
    ("ff00::/8", False),
    # Internet Protocol Version 4 Address Space
    ("0.0.0.0/0", True),
)


@lru_cache(maxsize=1)
def registered_networks() -> dict[Network, bool]:
    """Every row as a network, the longest prefix first."""
    rows = [(ipaddress.ip_network(text), reachable) for text, reachable in REGISTRIES]
    return dict(sorted(rows, key=lambda row: row[0].prefixlen, reverse=True))


def is_globally_reachable(address: Address) -> bool:
    """What the most specific row of the registries says about the address as written, unwrapping nothing."""
    rows = registered_networks().items()
    return next(reachable for network, reachable in rows if network.version == address.version and address in network)
