"""Small peers on loopback that count what reaches them and answer as told, however badly; and a resolver that lies."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

from jobservice.egress.policy import EgressPolicy

# Seconds for requests that are answered, or fail, at once: no bound on a machine that stands still for a while.
PATIENCE_SECONDS = 60.0
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
LOCAL = EgressPolicy(allow=LOOPBACK)

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """A running server: where it listens and what it has seen."""

    host: str
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    arrivals: list[tuple[str, str]] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/", *, scheme: str = "http", host: str | None = None) -> str:
        return f"{scheme}://{host or self.host}:{self.port}{path}"

    async def note_arrival(self, writer: asyncio.StreamWriter) -> None:
        client, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        async with self.arrived:
            self.arrivals.append((f"{client[0]} {client[1]}", str(local[0])))
            self.arrived.notify_all()

    async def dialled(self) -> list[str]:
        """The addresses of this server that were connected to, in order.

        The kernel may hold connections that were not yet accepted, so one more is made and awaited: it comes last.
        """
        _, writer = await asyncio.open_connection(self.host.replace("0.0.0.0", "127.0.0.1"), self.port)  # noqa: S104
        name = "{} {}".format(*writer.get_extra_info("sockname")[:2])
        async with self.arrived:
            await self.arrived.wait_for(lambda: any(client == name for client, _ in self.arrivals))
        writer.close()
        found = [local for client, local in self.arrivals if client != name]
        self.arrivals = [one for one in self.arrivals if one[0] != name]
        return found


@contextlib.asynccontextmanager
async def peer(answer: Answer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Listen on a free port; every connection that sends a request header is given to `answer`."""
    seen = Peer(host)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        task.add_done_callback(running.discard)
        await seen.note_arrival(writer)
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError
        ):
            while True:
                seen.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await answer(reader, writer)
                if writer.is_closing():
                    break
        writer.transport.abort()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


def fixed(*parts: bytes, close: bool = True) -> Answer:
    """Send these bytes, then close the connection or wait for the next request on it."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if close:
            writer.close()

    return answer


def endless(head: bytes, part: bytes, *, every_seconds: float = 0) -> Answer:
    """Send `head`, then `part` again and again until the connection is cut."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(every_seconds)

    return answer


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Half of an answer, then RST."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


class FakeResolver(AbstractResolver):
    """Gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0) for address in answer
        ]

    async def close(self) -> None:
        pass
