"""Whose address counts: the peer's, or behind trusted proxies the client they name."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from django.conf import settings
from django.test import RequestFactory

from jobservice.client_address import client_address
from tests.api.keys import make_key, problem

PROXIES = ("10.0.0.0/8", "2001:db8::/32")


def address(peer: str, forwarded: str | None = None, *, trusted: tuple[str, ...] = PROXIES) -> str | None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    previous = settings.ENVIRONMENT
    settings.ENVIRONMENT = replace(previous, trusted_proxies=tuple(map(ip_network, trusted)))
    try:
        found = client_address(request)
    finally:
        settings.ENVIRONMENT = previous
    return None if found is None else str(found)


def test_without_trusted_proxies_only_the_peer_counts() -> None:
    assert address("10.0.0.1", "192.0.2.1", trusted=()) == "10.0.0.1"


def test_a_stranger_cannot_name_its_own_address() -> None:
    assert address("203.0.113.9", "192.0.2.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.7, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.9.9.9, 2001:db8::5", "192.0.2.1"),
        ("192.0.2.1 ,, ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db9::1]:443", "2001:db9::1"),
        ("[2001:db9::1]", "2001:db9::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        # All are proxies: the farthest of them asked.
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("", "10.0.0.1"),
        (None, "10.0.0.1"),
        # What a trusted proxy wrote cannot be read: then the client is nowhere.
        ("192.0.2.1, unknown", None),
        ("192.0.2.1, 300.1.1.1", None),
        (", ".join(["192.0.2.1"] + ["10.1.1.1"] * 5000), "10.1.1.1"),
    ],
)
def test_behind_trusted_proxies_the_nearest_stranger_counts(forwarded: str | None, expected: str | None) -> None:
    assert address("10.0.0.1", forwarded) == expected


@pytest.mark.parametrize("peer", ["", "unix:", "nonsense"])
def test_a_peer_without_an_address_is_nowhere(peer: str) -> None:
    assert address(peer, "192.0.2.1") is None


def test_a_proxy_that_speaks_ipv4_over_ipv6_is_known() -> None:
    assert address("::ffff:10.0.0.1", "192.0.2.1") == "192.0.2.1"
    assert ip_address("::ffff:10.0.0.1").version == 6


@pytest.mark.django_db
def test_a_key_limited_to_a_network_works_through_a_trusted_proxy(api: Any, tenant: Any, monkeypatch: Any) -> None:
    key = make_key(tenant, "tenant:read", cidrs=["192.0.2.0/24"])
    problem(api.get("/v1/tenant", key=key, X_Forwarded_For="192.0.2.1"), 403, "forbidden")
    trusting = replace(settings.ENVIRONMENT, trusted_proxies=(ip_network("127.0.0.0/8"),))
    monkeypatch.setattr(settings, "ENVIRONMENT", trusting)
    assert api.get("/v1/tenant", key=key, X_Forwarded_For="192.0.2.1").status_code == 200
    problem(api.get("/v1/tenant", key=key, X_Forwarded_For="192.0.2.1, 198.51.100.1"), 403, "forbidden")
    problem(api.get("/v1/tenant", key=key), 403, "forbidden")
