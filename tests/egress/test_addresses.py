"""The judgement of addresses, against tables and against a rule that shares nothing with ours."""

from __future__ import annotations

import ipaddress
import random

import pytest

from jobservice.egress.addresses import Address, embedded_addresses, judge_address
from tests.egress.corpus import read_corpus

REFUSED = read_corpus("special_addresses")
PUBLIC = read_corpus("public_addresses")

# Bad kinds that `ipaddress.is_global` lets through on Python 3.11.
MISSED_BY_IS_GLOBAL = read_corpus("missed_by_is_global")


def test_special_addresses_are_refused_with_a_reason() -> None:
    reasons = {text: judge_address(ipaddress.ip_address(text)) for text in (*REFUSED, *MISSED_BY_IS_GLOBAL)}
    assert [text for text, reason in reasons.items() if not reason] == []


def test_public_addresses_pass() -> None:
    assert [text for text in PUBLIC if judge_address(ipaddress.ip_address(text)) is not None] == []


@pytest.mark.parametrize(
    ("text", "network", "passes"),
    [
        ("127.0.0.1", "127.0.0.0/8", True),
        ("127.0.0.1", "127.0.0.2/32", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("168.63.129.16", "168.63.129.16/32", True),
        ("169.254.169.254", "10.0.0.0/8", False),
        ("::1", "127.0.0.0/8", False),
        ("::1", "::1/128", True),
        ("::ffff:127.0.0.1", "127.0.0.0/8", False),
        ("::ffff:127.0.0.1", "::ffff:0:0/96", True),
        ("64:ff9b::7f00:1", "127.0.0.0/8", False),
        ("64:ff9b::7f00:1", "64:ff9b::/96", True),
        ("2002:7f00:1::", "127.0.0.0/8", False),
        ("fd00::1", "fd00::/8", True),
    ],
)
def test_allowed_network_wins_only_for_addresses_literally_inside_it(text: str, network: str, passes: bool) -> None:
    reason = judge_address(ipaddress.ip_address(text), (ipaddress.ip_network(network),))
    assert (reason is None) is passes


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("127.0.0.1", []),
        ("2606:4700::1", []),
        ("::ffff:10.0.0.1", ["10.0.0.1"]),
        ("::10.0.0.1", ["10.0.0.1"]),
        ("64:ff9b::10.0.0.1", ["10.0.0.1"]),
        ("64:ff9b:1::10.0.0.1", ["10.0.0.1"]),
        ("2002:a00:1::", ["10.0.0.1"]),
        ("2001:0:0a00:1:8000:63bf:80ff:fffe", ["10.0.0.1", "127.0.0.1"]),
        ("2606:4700::200:5efe:10.0.0.1", ["10.0.0.1"]),
    ],
)
def test_every_wrapping_gives_up_its_inner_addresses(text: str, inner: list[str]) -> None:
    assert [str(address) for address in embedded_addresses(ipaddress.ip_address(text))] == inner


@pytest.mark.deep
def test_hundred_thousand_random_addresses_are_never_kinder_than_the_standard_library() -> None:
    source = random.Random(20261123)
    for _ in range(50_000):
        for address in (ipaddress.IPv4Address(source.getrandbits(32)), random_v6(source)):
            if judge_address(address) is None:
                assert is_plainly_public(address), address


def test_most_of_the_public_internet_can_be_dialled() -> None:
    source = random.Random(7)
    passed = sum(judge_address(ipaddress.IPv4Address(source.getrandbits(32))) is None for _ in range(10_000))
    assert 0.84 < passed / 10_000 < 0.88


def random_v6(source: random.Random) -> ipaddress.IPv6Address:
    """Half anywhere, half under a prefix that carries or surrounds something special."""
    tail = source.getrandbits(128)
    if source.random() < 0.5:
        return ipaddress.IPv6Address(tail)
    prefix = ipaddress.IPv6Network(
        source.choice(
            (
                "::/96",
                "::ffff:0:0/96",
                "64:ff9b::/96",
                "64:ff9b:1::/48",
                "2000::/3",
                "2001::/16",
                "2002::/16",
                "fc00::/6",
            )
        )
    )
    return prefix.network_address + (tail & int(prefix.hostmask))


def is_plainly_public(address: Address) -> bool:
    inner = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[0]
        if address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(address.packed[-4:])
    judged = [address] if inner is None else [address, inner]
    return all(one.is_global and not one.is_multicast for one in judged)
