"""Connections that are used again: by the same target at the same origin only, and never at the price of a try."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.abc import AbstractResolver
from aiohttp.client_reqrep import ConnectionKey

from jobservice.egress import guard, kept
from jobservice.egress.client import EgressClient
from jobservice.egress.failures import EgressFailed
from tests.egress.servers import LOCAL, fixed, peer
from tests.egress.test_client import HEAD, OK, request_to

A, B = uuid4(), uuid4()


def connections(*requests: dict[str, Any], answer: bytes = OK) -> int:
    """How many connections these requests took, one after the other, each with its answer."""

    async def scenario() -> int:
        async with peer(fixed(answer, close=False)) as listener, EgressClient(LOCAL, keep_alive_seconds=60) as client:
            for changes in requests:
                host = changes.pop("host", None)
                url = listener.url(host=host) if host else listener.url()
                assert (await client.send(request_to(listener, **{"url": url, **changes}))).body == b"ok"
            return len(await listener.dialled())

    return asyncio.run(scenario())


def test_requests_to_one_target_share_a_connection() -> None:
    assert connections(*({"target": A} for _ in range(5))) == 1


def test_no_two_targets_share_a_connection_to_one_origin() -> None:
    assert connections({"target": A}, {"target": B}, {"target": A}, {"target": B}) == 2


def test_a_request_without_a_target_has_a_connection_of_its_own_that_ends_with_it() -> None:
    assert connections({}, {}, {"target": A}, {}) == 4


def test_another_name_of_the_same_address_is_another_origin() -> None:
    assert connections({"target": A, "host": "a.localhost"}, {"target": A, "host": "b.localhost"}) == 2


def test_an_idle_connection_ends() -> None:
    async def scenario() -> int:
        async with (
            peer(fixed(OK, close=False)) as listener,
            EgressClient(LOCAL, keep_alive_seconds=0.05) as client,
        ):
            for _ in range(2):
                await client.send(request_to(listener, target=A))
                await asyncio.sleep(0.2)
            return len(await listener.dialled())

    assert asyncio.run(scenario()) == 2


def test_a_connection_in_use_ends_when_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_SECONDS", -1.0)
    assert connections({"target": A}, {"target": A}) == 2


def test_so_many_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_CONNECTIONS", 1)
    assert connections({"target": A}, {"target": B}, {"target": B}, {"target": A}) == 3


def test_a_body_that_was_not_read_to_its_end_ends_its_connection() -> None:
    long = HEAD + b"Content-Length: 500\r\n\r\nok..."
    assert connections(*({"target": A, "read_limit_bytes": 2} for _ in range(2)), answer=long) == 2


def test_an_answer_that_says_close_is_heeded() -> None:
    said = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
    assert connections({"target": A}, {"target": A}, answer=said) == 2


def test_a_connection_that_ended_while_it_was_idle_costs_no_try() -> None:
    """The peer ends it just as the second request is on its way: that goes out again, and is answered."""

    async def scenario() -> None:
        bodies: list[bytes] = []

        async def hang_up_on_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            bodies.append(await reader.readexactly(2))
            if len(bodies) == 2:
                writer.transport.abort()
            else:
                await fixed(OK, close=False)(reader, writer)

        async with peer(hang_up_on_the_second) as listener, EgressClient(LOCAL, keep_alive_seconds=60) as client:
            for body in (b"{}", b"[]"):
                answer = await client.send(request_to(listener, target=A, body=body))
                assert (answer.status, answer.body) == (200, b"ok")
            assert bodies == [b"{}", b"[]", b"[]"]

    asyncio.run(scenario())


@pytest.mark.parametrize("target", [None, A])
def test_a_connection_opened_for_a_request_that_ends_without_an_answer_is_a_failed_try(target: UUID | None) -> None:
    async def scenario() -> None:
        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with peer(hang_up) as listener, EgressClient(LOCAL, keep_alive_seconds=60) as client:
            with pytest.raises(EgressFailed) as caught:
                await client.send(request_to(listener, target=target))
            assert caught.value.error_class == "disconnected"
            assert len(listener.requests) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("target", [None, A])
def test_a_failed_dial_is_made_once(target: UUID | None) -> None:
    class Missing(AbstractResolver):
        asked = 0

        async def resolve(self, *_: Any, **__: Any) -> Any:
            self.asked += 1
            raise OSError("unknown")

        async def close(self) -> None:
            pass

    async def scenario() -> None:
        resolver = Missing()
        async with peer(fixed(OK)) as listener, EgressClient(LOCAL, resolver=resolver) as client:
            with pytest.raises(EgressFailed) as caught:
                await client.send(request_to(listener, url=listener.url(host="missing.example"), target=target))
            assert (caught.value.error_class, resolver.asked) == ("dns", 1)

    asyncio.run(scenario())


def test_what_has_ended_is_not_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_CONNECTIONS", 2)

    async def scenario() -> None:
        async with peer(fixed(OK, close=False)) as listener, EgressClient(LOCAL, keep_alive_seconds=0.01) as client:
            for _ in range(6):
                await client.send(request_to(listener, target=uuid4()))
                await asyncio.sleep(0.1)
            connector = client._sessions["http"].connector
            assert isinstance(connector, guard.GuardedConnector)
            assert len(connector._kept) <= 2

    asyncio.run(scenario())


def test_a_request_goes_out_twice_at_most() -> None:
    async def scenario() -> None:
        async def answer_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(listener.requests) == 1:
                await fixed(OK, close=False)(reader, writer)
            else:
                writer.close()

        async with peer(answer_the_first) as listener, EgressClient(LOCAL, keep_alive_seconds=60) as client:
            await client.send(request_to(listener, target=A))
            with pytest.raises(EgressFailed):
                await client.send(request_to(listener, target=A))
            assert len(listener.requests) == 3

    asyncio.run(scenario())


def test_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    async def scenario() -> None:
        writers: list[asyncio.StreamWriter] = []

        async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await fixed(OK, close=False)(reader, writer)

        async with peer(remember) as listener, EgressClient(LOCAL, keep_alive_seconds=60) as client:
            await client.send(request_to(listener, target=A))
            writers[0].write(HEAD + b"Content-Length: 6\r\n\r\nforged")
            await writers[0].drain()
            for _ in range(50):
                await asyncio.sleep(0)
            assert (await client.send(request_to(listener, target=A))).body == b"ok"
            assert len(writers) == 2

    asyncio.run(scenario())


def test_a_kept_connection_keeps_nothing_of_its_answers() -> None:
    async def scenario() -> None:
        async with peer(fixed(OK, close=False)) as listener, EgressClient(LOCAL, keep_alive_seconds=60) as client:
            for _ in range(20):
                await client.send(request_to(listener, target=A))
            connector = client._sessions["http"].connector
            assert connector is not None
            ((protocol, _),) = (one for conns in connector._conns.values() for one in conns)
            assert protocol.closed is not None
            assert not protocol.closed._callbacks

    asyncio.run(scenario())


def test_the_key_of_a_target_is_no_other_key() -> None:
    origin = ConnectionKey("x", 1, True, True, None, None, None)
    keys = {origin, kept.TargetKey.of(origin, A), kept.TargetKey.of(origin, B), kept.TargetKey.of(origin, A)}
    assert len(keys) == 3
    assert all(key.is_ssl for key in keys)
