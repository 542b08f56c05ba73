"""What is dialled: sinkholes on loopback count every connection that should never have been made."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import replace

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.guard import Guard, GuardedConnector
from jobservice.egress.lookups import SystemResolver
from jobservice.egress.policy import EgressPolicy
from jobservice.errors import EgressRefused
from tests.egress.servers import LOCAL, PATIENCE_SECONDS, FakeResolver, fixed, peer

GOOD = "127.0.0.2"
BAD = "127.0.0.1"
# Stands for the internet: of all addresses only GOOD may be dialled.
ONLY_GOOD = EgressPolicy(allow=(ipaddress.ip_network(GOOD),))
OK = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def outcome(client: EgressClient, url: str) -> str:
    try:
        answer = await client.send(EgressRequest("POST", url, timeout_seconds=PATIENCE_SECONDS))
    except EgressFailed as failure:
        has_address = any(character.isdigit() for character in failure.detail.replace("443, 8443", ""))
        return "leak: " + failure.detail if has_address else failure.error_class
    return str(answer.status)


def test_name_that_moves_from_a_good_to_a_bad_address_is_never_dialled_there() -> None:
    async def scenario() -> None:
        resolver = FakeResolver([GOOD], [BAD])
        async with peer(OK, host="0.0.0.0") as listener:  # noqa: S104
            for expected in ("200", "dns"):
                async with EgressClient(ONLY_GOOD, resolver=resolver) as client:
                    assert await outcome(client, listener.url(host="rebind.test")) == expected
            assert await listener.dialled() == [GOOD]
            assert resolver.asked == ["rebind.test", "rebind.test"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        [BAD],
        [GOOD, BAD],
        [BAD, GOOD],
        [GOOD, GOOD, "::1"],
        [GOOD, f"::ffff:{GOOD}"],
        [GOOD, "not an address"],
        ["fe80::1%lo"],
    ],
)
def test_one_bad_address_in_an_answer_refuses_the_whole_answer(answer: list[str]) -> None:
    async def scenario() -> None:
        async with (
            peer(OK, host="0.0.0.0") as listener,  # noqa: S104
            EgressClient(ONLY_GOOD, resolver=FakeResolver(answer)) as client,
        ):
            assert await outcome(client, listener.url(host="mixed.test")) == "dns"
            assert await listener.dialled() == []

    asyncio.run(scenario())


def test_name_is_looked_up_once_for_a_request_and_for_its_neighbours() -> None:
    async def scenario() -> None:
        resolver = FakeResolver([GOOD], [BAD])
        async with peer(OK, host=GOOD) as listener, EgressClient(ONLY_GOOD, resolver=resolver) as client:
            url = listener.url(host="once.test")
            assert set(await asyncio.gather(*(outcome(client, url) for _ in range(20)))) == {"200"}
            assert resolver.asked == ["once.test"]

    asyncio.run(scenario())


def test_answer_without_addresses_is_a_failed_lookup() -> None:
    async def scenario() -> None:
        async with EgressClient(ONLY_GOOD, resolver=FakeResolver([])) as client:
            assert await outcome(client, "http://nothing.test/") == "dns"

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]"])  # noqa: S104
def test_socket_to_a_literal_address_is_refused_even_when_the_url_was_not_checked(host: str) -> None:
    async def scenario() -> None:
        async with peer(OK) as listener, aiohttp.ClientSession(connector=connector(ONLY_GOOD, [GOOD])) as session:
            with pytest.raises(EgressRefused):
                await session.get(listener.url(host=host))
            assert await listener.dialled() == []

    asyncio.run(scenario())


@pytest.mark.parametrize("answer", [[BAD], [BAD, GOOD], [BAD, "127.0.0.3"]])
def test_socket_is_refused_even_when_the_answer_was_not_checked(
    answer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pass_everything(self: Guard, host: str, answer: list[ResolveResult]) -> None:
        pass

    async def scenario() -> None:
        async with (
            peer(OK, host="0.0.0.0") as listener,  # noqa: S104
            aiohttp.ClientSession(connector=connector(ONLY_GOOD, answer)) as session,
        ):
            with pytest.raises(EgressRefused):
                await session.get(listener.url(host="race.test"))
            assert set(await listener.dialled()) <= {GOOD}
            assert listener.requests == []

    monkeypatch.setattr(Guard, "check_answer", pass_everything)
    asyncio.run(scenario())


def test_connection_that_ends_at_another_address_than_allowed_gets_no_request() -> None:
    # On Linux a connection to 0.0.0.0 has 127.0.0.1 as its peer.
    policy = EgressPolicy(allow=(ipaddress.ip_network("0.0.0.0/32"),))

    async def scenario() -> None:
        async with peer(OK) as listener, EgressClient(policy) as client:
            assert await outcome(client, listener.url(host="0.0.0.0")) == "refused"  # noqa: S104
            assert listener.requests == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", "refused"), ("127.0.0.7", "refused"), ("localhost", "refused"), ("other.test", "dns")),
        *(("LocalHost.", "refused"), ("a.localhost", "refused"), ("[::1]", "refused")),
    ],
)
def test_own_port_is_refused_by_address_and_by_name(host: str, expected: str) -> None:
    async def scenario() -> None:
        async with peer(OK, host="0.0.0.0") as service:  # noqa: S104
            policy = replace(LOCAL, own=(("127.0.0.1", service.port),))
            async with EgressClient(policy, resolver=FakeResolver([BAD])) as client:
                assert await outcome(client, service.url(host=host)) == expected
            assert await service.dialled() == []

    asyncio.run(scenario())


def test_localhost_means_the_allowed_loopback_addresses_and_asks_no_dns() -> None:
    async def scenario() -> None:
        only_v4 = EgressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),))
        resolver = FakeResolver(["93.184.216.34"])
        async with peer(OK) as listener, EgressClient(only_v4, resolver=resolver) as client:
            assert await outcome(client, listener.url(host="localhost")) == "200"
            assert resolver.asked == []

    asyncio.run(scenario())


def test_private_name_may_not_lead_to_a_public_address() -> None:
    async def scenario() -> None:
        async with EgressClient(LOCAL, resolver=FakeResolver(["93.184.216.34"])) as client:
            assert await outcome(client, "https://redis.internal/") == "dns"

    asyncio.run(scenario())


def test_http_to_a_public_address_is_refused_when_the_name_is_resolved() -> None:
    async def scenario() -> None:
        async with EgressClient(LOCAL, resolver=FakeResolver(["93.184.216.34"])) as client:
            assert await outcome(client, "http://example.com/") == "refused"
            assert await outcome(client, "https://example.com:444/") == "refused"

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["user@127.0.0.1", "127.1", "①②⑦.0.0.1"])
def test_url_is_checked_again_when_sent(host: str) -> None:
    async def scenario() -> None:
        async with peer(OK) as listener, EgressClient(LOCAL) as client:
            assert await outcome(client, listener.url(host=host)) == "refused"
            assert await listener.dialled() == []

    asyncio.run(scenario())


def test_second_address_is_tried_when_the_first_does_not_answer() -> None:
    async def scenario() -> None:
        async with peer(OK) as listener, EgressClient(LOCAL, resolver=FakeResolver(["127.0.0.9", BAD])) as client:
            assert await outcome(client, listener.url(host="two.test")) == "200"

    asyncio.run(scenario())


def test_system_resolver_finds_this_machine_and_reports_unknown_names() -> None:
    async def scenario() -> None:
        resolver = SystemResolver(most=1)
        found = await resolver.resolve("localhost", 80)
        assert "127.0.0.1" in {one["host"] for one in found}
        assert {one["port"] for one in found} == {80}
        await resolver.close()
        async with EgressClient(LOCAL) as client:
            assert await outcome(client, "http://no-such-name.invalid/") == "dns"

    asyncio.run(scenario())


def connector(policy: EgressPolicy, answer: list[str]) -> GuardedConnector:
    return GuardedConnector(Guard(policy, "http"), resolver=FakeResolver(answer), trust=ssl.create_default_context())
