"""The two checks: of a URL when it is written, and of an address when it is dialled."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from jobservice.egress.policy import EgressPolicy, build_policy, check_address, check_url
from jobservice.env import Environment
from jobservice.errors import EgressRefused
from tests.egress.corpus import read_corpus
from tests.egress.servers import LOCAL

PUBLIC = EgressPolicy()
PRIVATE = EgressPolicy(allow=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")))
UNSPECIFIED = str(ipaddress.IPv4Address(0))
WIDE = EgressPolicy(ports=(80, 443), schemes=("http", "https"))

GOOD_PUBLIC = read_corpus("public_urls")

BAD_SYNTAX = [
    *read_corpus("malformed_urls"),
    "https://exam ple.com/",
    "https://example.com/a b",
    " https://example.com/",
    "https://example.com/ ",
    "https://example.com/\r\nHost: x",
    "https://exa\nmple.com/",
    "https://exa\tmple.com/",
    "https://example.com/\x00",
    "\x00https://example.com/",
    "\x01https://example.com/",
    "https://example.com/\x7f",
    "https://example.com/\u2028",
    "https://example.com/\u00a0",
    "https://exa\u00admple.com/",
    "https://exa\u200bmple.com/",
    "https://example.com/\u202e",
    "https://example.com/\ud800",
    "https://example.com\uff0f@127.0.0.1/",
    "https://example\uff03.com/",
    "",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2029,
    "https://example.com/" + "ü" * 500,
]

NUMERIC_HOSTS = read_corpus("numeric_hosts")

LITERALS = read_corpus("literal_hosts")

INNER_NAMES = read_corpus("inner_names")


def refused(text: str, policy: EgressPolicy) -> str:
    with pytest.raises(EgressRefused) as caught:
        check_url(text, policy)
    return caught.value.detail


def passing(texts: list[str], policy: EgressPolicy) -> list[str]:
    """Those of the URLs that the policy lets through."""
    found = []
    for text in texts:
        try:
            check_url(text, policy)
        except EgressRefused:
            continue
        found.append(text)
    return found


def test_public_https_urls_pass() -> None:
    assert passing(GOOD_PUBLIC, PUBLIC) == GOOD_PUBLIC
    assert all(str(check_url(text, PUBLIC)).isascii() for text in GOOD_PUBLIC)


@pytest.mark.parametrize("policy", [PUBLIC, LOCAL], ids=["public", "local"])
def test_malformed_urls_are_refused_under_any_policy(policy: EgressPolicy) -> None:
    assert passing(BAD_SYNTAX, policy) == []


def test_refusal_names_what_is_wrong() -> None:
    assert refused("https://user@example.com/", PUBLIC) == "The URL must not hold a user name or password."
    assert refused("https://example.com/#x", PUBLIC) == "The URL must not hold a fragment."
    assert refused("https://[ff02::1]/", PUBLIC).endswith("(multicast).")


@pytest.mark.parametrize("policy", [PUBLIC, LOCAL], ids=["public", "local"])
def test_hosts_that_look_like_numbers_are_refused_under_any_policy(policy: EgressPolicy) -> None:
    assert passing([f"http://{host}/" for host in NUMERIC_HOSTS], policy) == []
    assert passing([f"https://{host}/" for host in NUMERIC_HOSTS], policy) == []


def test_literal_addresses_are_refused_when_nothing_is_allowed() -> None:
    assert passing([f"https://{host}/" for host in LITERALS], PUBLIC) == []


def test_names_of_private_name_spaces_are_refused_when_nothing_is_allowed() -> None:
    assert passing([f"https://{host}/" for host in INNER_NAMES], PUBLIC) == []


@pytest.mark.parametrize(
    "text",
    ["http://example.com/", "https://example.com:80/", "https://example.com:8000/", "http://example.com:443/"],
)
def test_other_schemes_and_ports_are_refused_when_nothing_is_allowed(text: str) -> None:
    assert refused(text, PUBLIC) == "The URL must use https on one of the ports 443, 8443."


@pytest.mark.parametrize("text", ["http://example.com/", "https://example.com/", "http://example.com:443/"])
def test_operator_widens_schemes_and_ports(text: str) -> None:
    check_url(text, WIDE)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:9000/",
        "https://127.0.0.1/",
        "http://127.9.9.9/",
        "http://[::1]:9000/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://localhost:9000/x",
        "http://LocalHost:9000/",
        "http://a.localhost/",
        "http://redis:6379/",
        "http://worker.internal/",
        "http://example.com:81/",
        "https://example.com/",
        "http://127.0.0.1:65535/é",
    ],
)
def test_anything_that_could_lead_inside_the_allowed_networks_passes(text: str) -> None:
    check_url(text, LOCAL)


@pytest.mark.parametrize(
    "text",
    [
        "http://10.0.0.1/",
        "http://8.8.8.8/",
        "https://8.8.8.8/",
        "http://169.254.169.254/latest",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://0.0.0.0:9000/",
        "http://[::]:9000/",
        "ftp://127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1:9000/#x",
    ],
)
def test_allowed_networks_open_nothing_else(text: str) -> None:
    refused(text, LOCAL)


@pytest.mark.parametrize("text", ["http://localhost:9000/", "http://x.localhost/", "http://127.0.0.1/"])
def test_localhost_needs_loopback_among_the_allowed_networks(text: str) -> None:
    refused(text, PRIVATE)


OWN = EgressPolicy(allow=LOCAL.allow, own=(("127.0.0.1", 8000), ("jobs.example.com", 443)))
OWN_EVERYWHERE = EgressPolicy(allow=LOCAL.allow, own=((UNSPECIFIED, 8000),))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/v1/jobs",
        "http://localhost:8000/",
        "http://LOCALHOST.:8000/",
        "http://x.localhost:8000/",
        "http://127.0.0.2:8000/",
        "http://[::1]:8000/",
        "https://127.0.0.1:8000/",
        "https://jobs.example.com/",
        "https://JOBS.example.com.:443/x",
    ],
)
def test_own_host_and_port_are_refused_in_every_spelling(text: str) -> None:
    assert refused(text, OWN) == "The URL leads back to this service."


@pytest.mark.parametrize("text", ["http://127.0.0.1:8000/", "http://localhost:8000/", "http://127.0.0.9:8000/"])
def test_service_bound_to_every_address_refuses_each_of_them(text: str) -> None:
    assert refused(text, OWN_EVERYWHERE) == "The URL leads back to this service."


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1:8001/", "http://localhost:9000/", "https://jobs.example.com:8443/", "https://example.com/"],
)
def test_neighbours_of_the_own_address_pass(text: str) -> None:
    check_url(text, OWN)


@pytest.mark.parametrize(
    ("policy", "address", "scheme", "port", "passes"),
    [
        (PUBLIC, "93.184.216.34", "https", 443, True),
        (PUBLIC, "93.184.216.34", "https", 8443, True),
        (PUBLIC, "93.184.216.34", "https", 80, False),
        (PUBLIC, "93.184.216.34", "http", 443, False),
        (PUBLIC, "10.0.0.1", "https", 443, False),
        (PUBLIC, "2606:4700::1111", "https", 443, True),
        (PUBLIC, "64:ff9b::a9fe:a9fe", "https", 443, False),
        (WIDE, "93.184.216.34", "http", 80, True),
        (WIDE, "10.0.0.1", "http", 80, False),
        (PRIVATE, "10.0.0.1", "http", 9000, True),
        (PRIVATE, "93.184.216.34", "http", 80, False),
        (PRIVATE, "93.184.216.34", "https", 9000, False),
        (PRIVATE, "93.184.216.34", "https", 443, True),
        (PRIVATE, "::ffff:10.0.0.1", "https", 443, False),
        (PRIVATE, "127.0.0.1", "http", 80, False),
        (OWN, "127.0.0.1", "http", 8000, False),
        (OWN, "::1", "http", 8000, False),
        (OWN, "127.0.0.1", "http", 8001, True),
        (OWN_EVERYWHERE, "127.4.4.4", "http", 8000, False),
        (EgressPolicy(allow=(ipaddress.ip_network("::/0"),), own=OWN.own), "::ffff:127.0.0.1", "http", 8000, False),
        (EgressPolicy(allow=(ipaddress.ip_network("0.0.0.0/0"),), own=OWN.own), UNSPECIFIED, "http", 8000, False),
    ],
)
def test_address_is_judged_with_its_scheme_and_port(
    policy: EgressPolicy, address: str, scheme: str, port: int, passes: bool
) -> None:
    if passes:
        check_address(policy, ipaddress.ip_address(address), scheme=scheme, port=port)
    else:
        with pytest.raises(EgressRefused):
            check_address(policy, ipaddress.ip_address(address), scheme=scheme, port=port)


def test_refusal_when_dialling_is_the_same_for_every_kind_of_address() -> None:
    details = set()
    for text in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "fd00::1"):
        with pytest.raises(EgressRefused) as caught:
            check_address(PUBLIC, ipaddress.ip_address(text), scheme="https", port=443)
        details.add(caught.value.detail)
    assert len(details) == 1


def test_policy_is_built_from_the_settings() -> None:
    policy = build_policy(environment(public_url="https://Jobs.Example.com/", host="[::1]"))
    assert policy == EgressPolicy(own=(("::1", 8000), ("jobs.example.com", 443)))


def test_policy_without_a_public_url_knows_the_listening_address_only() -> None:
    policy = build_policy(environment(public_url="", host="127.0.0.1"))
    assert policy.own == (("127.0.0.1", 8000),)


def test_the_port_of_the_metrics_is_the_services_own_too() -> None:
    policy = build_policy(replace(environment(public_url="", host="127.0.0.1"), metrics_host="::1", metrics_port=9100))
    assert policy.own == (("127.0.0.1", 8000), ("::1", 9100))
    assert refused("http://localhost:9100/metrics", replace(policy, allow=LOCAL.allow)).endswith("this service.")


def test_corpus_is_large() -> None:
    assert len({*GOOD_PUBLIC, *BAD_SYNTAX, *NUMERIC_HOSTS, *LITERALS, *INNER_NAMES}) >= 200


def environment(*, public_url: str, host: str) -> Environment:
    return Environment(
        process="worker",
        data_dir=Path("/x"),
        database_urls={},
        broker_url="",
        root_key_file=Path("/x"),
        message_key_file=Path("/x"),
        allowed_hosts=[],
        public_url=public_url,
        egress_allow=None,
        egress_ports=(443, 8443),
        egress_schemes=("https",),
        host=host,
        port=8000,
        web_workers=1,
        web_threads=1,
        handler_processes=1,
        egress_slots=1,
        handlers=[],
        lease_seconds=30,
        stop_grace_seconds=25,
        log_format="json",
        log_level="INFO",
        metrics_dir=Path("/x"),
        metrics_token="",
        metrics_host="127.0.0.1",
        metrics_port=None,
    )
