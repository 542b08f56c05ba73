"""HTTP/1.1 on raw sockets: many kept connections in one process, for a fraction of what the service spends."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request's fate, in monotonic seconds, which all processes of a machine share. Status 0: the peer hung up."""

    number: int
    sent: float
    answered: float
    status: int
    body: bytes = field(repr=False)

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300


class Connection(asyncio.Protocol):
    """One kept connection with one request on it at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; status 0 and why when the peer hangs up. The connection is open."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0 or self._answer is None:
            return
        length = _LENGTH.search(self._received, 0, head + 2)
        if length is None:
            self._fail("an answer without Content-Length")
            return
        end = head + 4 + int(length[1])
        if len(self._received) >= end:
            status, body = int(self._received[9:12]), bytes(self._received[head + 4 : end])
            del self._received[:end]
            if not self._answer.done():
                self._answer.set_result((status, body))

    def connection_lost(self, _error: Exception | None) -> None:
        self._fail("the service hung up")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _fail(self, sentence: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((0, sentence.encode()))


@dataclass(frozen=True, slots=True)
class Peer:
    """Where to connect to."""

    host: str
    port: int

    async def connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, self.port)
        return connection


async def exchange_all(
    requests: Sequence[bytes], peer: Peer, *, connections: int, per_second: float | None
) -> list[Exchange]:
    """Send every request over so many connections, all opened before the first is sent; in the order of `requests`."""
    opened = [await peer.connect() for _ in range(connections)]
    numbers = count()
    begun = time.monotonic()
    parts = await asyncio.gather(
        *(_drive(connection, peer, requests, numbers, begun=begun, per_second=per_second) for connection in opened)
    )
    return sorted((exchange for part in parts for exchange in part), key=lambda exchange: exchange.number)


async def _drive(
    connection: Connection,
    peer: Peer,
    requests: Sequence[bytes],
    numbers: Iterator[int],
    *,
    begun: float,
    per_second: float | None,
) -> list[Exchange]:
    done = []
    while (number := next(numbers)) < len(requests):
        sent = await _await_turn(begun + number / per_second) if per_second else time.monotonic()
        # A server ends a kept connection after a while or after many requests; a client then opens another.
        connection = connection if connection.is_open else await peer.connect()
        status, body = await connection.exchange(requests[number])
        done.append(Exchange(number, sent, time.monotonic(), status, body))
    connection.close()
    return done


async def _await_turn(due: float) -> float:
    """When the request counts as sent: on time, or when it was due although no connection was free."""
    now = time.monotonic()
    if now >= due:
        return due
    await asyncio.sleep(due - now)
    return time.monotonic()
