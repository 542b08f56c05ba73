"""Receivers that do not take what they are sent, as many as there are paths, on one port of a process of its own.

`/silent/…` takes the request and never answers, `/dripping/…` sends a byte now and then, `/endless/…` sends a body that
has no end. `/counts` tells how many of them are being called now, and at most so far.
"""

from __future__ import annotations

import asyncio
import json
import sys

_HEAD = b"HTTP/1.1 200 OK\r\n"
_PIECE = bytes(64 * 1024)


class Hostile:
    """What they were sent."""

    def __init__(self) -> None:
        self.open = self.peak = self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            kind = (await reader.readline()).split()[1].split(b"/")[1]
            if kind == b"counts":
                body = json.dumps({"open": self.open, "peak": self.peak, "requests": self.requests}).encode()
                writer.write(_HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
            else:
                await self._take(kind, reader, writer)
        except (OSError, IndexError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _take(self, kind: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            if kind == b"dripping":
                await self._write(writer, _HEAD, b"x", every_seconds=1.0)
            elif kind == b"endless":
                await self._write(writer, _HEAD + b"Content-Type: text/plain\r\n\r\n", _PIECE, every_seconds=0.0)
            while await reader.read(65536):
                pass
        finally:
            self.open -= 1

    async def _write(self, writer: asyncio.StreamWriter, head: bytes, part: bytes, *, every_seconds: float) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(every_seconds)


async def _run() -> None:
    server = await asyncio.start_server(Hostile().serve, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run())
