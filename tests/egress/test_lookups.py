"""Names that get no answer cost their own tenant alone, and not for longer than their lookups last."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.lookups import SystemResolver
from tests.egress.servers import LOCAL, fixed, peer

OK = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until this is set, the lookup of a name in `silent.test` does not end. Every other name leads to this machine."""
    ended = threading.Event()

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host.endswith(".silent.test"):
            ended.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield ended
    ended.set()


async def call(client: EgressClient, url: str, *, tenant: UUID, timeout_seconds: float) -> str:
    try:
        request = EgressRequest("POST", url, timeout_seconds=timeout_seconds, tenant=tenant)
        return str((await client.send(request)).status)
    except EgressFailed as failure:
        return failure.error_class


def test_a_tenant_whose_names_get_no_answer_holds_up_no_other(answered: threading.Event) -> None:
    async def scenario() -> None:
        resolver = SystemResolver(most=20, most_of_one=10)
        async with peer(OK) as listener, EgressClient(LOCAL, resolver=resolver) as client:
            noisy, quiet = uuid4(), uuid4()
            urls = [f"http://host{number}.silent.test/" for number in range(100)]
            given_up = await asyncio.gather(*(call(client, url, tenant=noisy, timeout_seconds=0.3) for url in urls))
            assert set(given_up) == {"timeout"}
            assert not answered.is_set()
            begun = time.monotonic()
            healthy = listener.url(host="healthy.test")
            assert await call(client, healthy, tenant=quiet, timeout_seconds=5) == "200"
            assert time.monotonic() - begun < 2

    asyncio.run(scenario())


def test_who_finds_no_room_is_told_so_instead_of_waiting_for_ever(answered: threading.Event) -> None:
    async def scenario() -> None:
        resolver = SystemResolver(most=1, patience_seconds=0.5)
        async with peer(OK) as listener, EgressClient(LOCAL, resolver=resolver) as client:
            tenant = uuid4()
            assert await call(client, "http://host.silent.test/", tenant=tenant, timeout_seconds=0.2) == "timeout"
            healthy = listener.url(host="healthy.test")
            assert await call(client, healthy, tenant=tenant, timeout_seconds=10) == "dns"
            answered.set()
            assert await call(client, listener.url(host="later.test"), tenant=tenant, timeout_seconds=10) == "200"

    asyncio.run(scenario())
