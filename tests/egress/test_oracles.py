"""The guard beside two others, Microsoft's AntiSSRF and ssrfguard, and beside IANA's registries.

Ours refuses whatever either of the two refuses, but for one listed network; each refusal that neither shares has its
listed reason; and nothing passes that the registries do not call globally reachable. `make egress-million` tries a
million addresses with a seed of its own.
"""

from __future__ import annotations

import ipaddress
import os
import random
import socket
from collections import Counter

import pytest
import ssrfguard
from AntiSSRF import AntiSSRFPolicy, PolicyConfigOptions, URIValidator

from jobservice.egress.addresses import Address, embedded_addresses, judge_address
from jobservice.egress.policy import EgressPolicy, check_url
from jobservice.errors import EgressRefused
from tests.egress.registries import is_globally_reachable, registered_networks
from tests.egress.samples import sample_addresses, sample_urls

pytestmark = pytest.mark.deep

COUNT = int(os.environ.get("EGRESS_SAMPLES", "50000"))
SEED = int(os.environ.get("EGRESS_SEED", "20261126"))

# What AntiSSRF refuses and we do not. Behind NAT64 this network is the only way to the IPv4 internet; IANA calls it
# globally reachable; what lies inside is judged.
KINDER = (ipaddress.ip_network("64:ff9b::/96"),)

# What we refuse although at least one of the two lets it pass.
STRICTER = {
    "168.63.129.16/32": "Azure's host endpoint lies in public space: ssrfguard does not know it",
    "192.0.0.0/24": "two anycast services of whatever network we are in; neither is somebody's endpoint",
    "192.31.196.0/24": "AS112 sinks DNS, and is announced by whoever likes to",
    "192.52.193.0/24": "AMT relays, announced by whoever likes to",
    "192.175.48.0/24": "AS112 sinks DNS, and is announced by whoever likes to",
    "2620:4f:8000::/48": "AS112 sinks DNS, and is announced by whoever likes to",
    "2001::/23": "protocol assignments and Teredo: anycast services and identifiers, nobody's endpoint",
    "2002::/16": "6to4 has no relays any more; a packet goes wherever the nearest tunnel leads",
    "::ffff:0:0/96": "a mapped address is IPv4 in disguise: a resolver has no reason to answer with one",
    "::/96": "an IPv4-compatible address was never routed; nothing but a disguise is left of it",
    "64:ff9b::/96": "a metadata address that ssrfguard does not know may be inside",
}

_microsoft = AntiSSRFPolicy(PolicyConfigOptions.EXTERNAL_ONLY_LATEST)
_ssrfguard = ssrfguard.Policy(allowed_ports=frozenset((443, 8443)))


def is_refused_by_ssrfguard(address: Address) -> bool:
    return ssrfguard.DEFAULT_DENIED.classify(address).blocked


def is_refused_by_microsoft(address: Address) -> bool:
    return not _microsoft._is_str_ip_address_connection_allowed(str(address))


def complaint(address: Address) -> str | None:
    """What is wrong with our judgement of the address; None when it is right."""
    reason = judge_address(address)
    oracles = (is_refused_by_ssrfguard(address), is_refused_by_microsoft(address))
    if reason is None:
        if oracles[0] or (oracles[1] and not any(address in network for network in KINDER)):
            return f"passes, refused by (ssrfguard, AntiSSRF) = {oracles}"
        if not all(map(is_globally_reachable, (address, *embedded_addresses(address)))):
            return "passes, not globally reachable by the registries"
    elif not all(oracles) and why_stricter(address) is None:
        return f"refused as {reason}, for no listed reason; refused by (ssrfguard, AntiSSRF) = {oracles}"
    return None


def why_stricter(address: Address) -> str | None:
    if isinstance(address, ipaddress.IPv6Address):
        if address.packed[8:12] in (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"):
            return "an ISATAP tunnel leads to the address inside, which neither of the two unwraps"
        if not is_globally_reachable(address) and not any(
            address in network for network in registered_networks() if network.version == 6 and network.prefixlen > 3
        ):
            return "IANA has not handed it out: SIIT and other translators use such space as they like"
    matching = (why for text, why in STRICTER.items() if address in ipaddress.ip_network(text))
    return next(matching, None)


@pytest.mark.timeout(3600)
def test_no_address_passes_that_an_oracle_refuses_and_each_further_refusal_has_its_reason() -> None:
    source = random.Random(SEED)
    wrong = {}
    verdicts: Counter[bool] = Counter()
    for address in sample_addresses(source, COUNT):
        verdicts[judge_address(address) is None] += 1
        found = complaint(address)
        if found is not None:
            wrong[str(address)] = found
    assert not wrong, f"EGRESS_SEED={SEED}: {len(wrong)} of {COUNT}, such as {dict(list(wrong.items())[:10])}"
    # A sample of one kind only would prove nothing.
    assert min(verdicts[True], verdicts[False]) > COUNT / 10


def test_every_edge_of_every_registered_network_is_judged_as_the_oracles_do() -> None:
    wrong = {}
    for network in registered_networks():
        first, last, top = int(network.network_address), int(network.broadcast_address), 2**network.max_prefixlen
        for number in {first - 1, first, first + 1, last - 1, last, last + 1}:
            address = type(network.network_address)(number % top)
            if found := complaint(address):
                wrong[str(address)] = found
    assert wrong == {}


@pytest.mark.parametrize("text", [*STRICTER, *map(str, KINDER)])
def test_each_listed_difference_is_one(text: str) -> None:
    """A row that no address needs any more would hide the next mistake."""
    network = ipaddress.ip_network(text)
    source = random.Random(SEED)
    sample = [network[0], network[-1], network[min(9, network.num_addresses - 1)]]
    sample += [network[source.randrange(network.num_addresses)] for _ in range(200)]
    if network.prefixlen == 96:
        inner = ("8.8.8.8", "168.63.129.16")
        sample += [network[int(ipaddress.IPv4Address(one))] for one in inner]
    seen = {(judge_address(one) is None, is_refused_by_ssrfguard(one), is_refused_by_microsoft(one)) for one in sample}
    assert any(not passes and not (guard and microsoft) for passes, guard, microsoft in seen) or text not in STRICTER
    assert any(passes and microsoft for passes, _, microsoft in seen) or network not in KINDER


@pytest.mark.timeout(3600)
def test_no_url_passes_that_an_oracle_refuses() -> None:
    source = random.Random(SEED)
    wrong, passed = [], set()
    for text in sample_urls(source, COUNT):
        try:
            url = check_url(text, EgressPolicy())
        except EgressRefused:
            continue
        passed.add(str(url))
        if is_url_refused(text):
            wrong.append(text)
    assert not wrong, f"EGRESS_SEED={SEED}: {len(wrong)} of {COUNT}, such as {wrong[:10]}"
    assert len(passed) > 50


def test_nothing_that_the_c_library_reads_as_an_address_passes_as_a_name() -> None:
    allow_everything = EgressPolicy(
        allow=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")), schemes=("http", "https")
    )
    source = random.Random(SEED)
    for text in sample_urls(source, COUNT // 5):
        try:
            host = check_url(text, allow_everything).raw_host or ""
        except EgressRefused:
            continue
        assert not is_number_to_c(host) or host == str(ipaddress.ip_address(host)), f"EGRESS_SEED={SEED}: {text!r}"


def is_number_to_c(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def is_url_refused(text: str) -> bool:
    # Neither takes an underscore for part of a host name. The DNS does, and a name is judged by its addresses.
    text = text.replace("ex_ample", "ex-ample")
    try:
        _ssrfguard.check_url(text)
    except ssrfguard.SSRFGuardError:
        return True
    return URIValidator._try_parse(text, ["https"]) is None
