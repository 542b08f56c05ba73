"""Lookups of names by the system's resolver, so many at once as can be, and of no tenant so many that others wait.

A name whose servers do not answer keeps a thread for longer than its request may take, and whoever asks next adds one.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

# More than requests in flight, and those who were given up: nobody waits for a thread.
_MOST_LOOKUPS = 1000
# As many as a worker has slots by default, for jobs and for deliveries: only what was given up goes beyond.
_MOST_OF_ONE_TENANT = 400
# aiohttp waits for an answer longer than the request did: those who wait must not become ever more.
_PATIENCE_SECONDS = 5.0

# Whose request is being sent, for the lookup that it leads to.
asking_tenant: ContextVar[UUID | None] = ContextVar("asking_tenant", default=None)


class SystemResolver(AbstractResolver):
    """The system's resolver, each lookup on a thread of its own, so that slow name servers hold up no other lookup.

    Nothing else ends a lookup, so its thread may outlive the request, and must not keep the process from ending.
    """

    def __init__(
        self,
        *,
        most: int = _MOST_LOOKUPS,
        most_of_one: int = _MOST_OF_ONE_TENANT,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._room = asyncio.Semaphore(most)
        self._most_of_one = most_of_one
        self._patience_seconds = patience_seconds
        # Only of tenants with a lookup: each of these holds its own.
        self._rooms: WeakValueDictionary[UUID | None, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        lookup = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        leave = await self._enter()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()
        work = partial(_look_up, lookup, partial(_answer, found, leave), loop)
        try:
            threading.Thread(target=work, name="egress-lookup", daemon=True).start()
        except RuntimeError as error:
            leave()
            raise OSError("no thread for a lookup") from error
        return [result(host, str(address[0]), port) for _, _, _, _, address in await found]

    async def close(self) -> None:
        """Lookups under way end by themselves."""

    async def _enter(self) -> Callable[[], None]:
        """Wait for room, and return how to leave it. Raises `OSError` when there is none for long."""
        own = self._rooms.setdefault(asking_tenant.get(), asyncio.Semaphore(self._most_of_one))
        try:
            async with asyncio.timeout(self._patience_seconds):
                await _enter_both(own, self._room)
        except TimeoutError:
            raise OSError("no room for a lookup") from None
        return partial(_leave, own, self._room)


def result(host: str, address: str, port: int) -> ResolveResult:
    """One address of an answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


async def _enter_both(own: asyncio.Semaphore, room: asyncio.Semaphore) -> None:
    await own.acquire()
    try:
        await room.acquire()
    except BaseException:
        own.release()
        raise


def _leave(*rooms: asyncio.Semaphore) -> None:
    for room in rooms:
        room.release()


def _look_up(
    lookup: Callable[[], list[Any]],
    tell: Callable[[list[Any] | Exception], None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """On the lookup's thread."""
    answer: list[Any] | Exception
    try:
        answer = lookup()
    except Exception as error:  # noqa: BLE001 (whatever it is belongs to the one who asked)
        answer = error
    with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
        loop.call_soon_threadsafe(tell, answer)


def _answer(found: asyncio.Future[list[Any]], leave: Callable[[], None], answer: list[Any] | Exception) -> None:
    leave()
    if found.done():
        return
    if isinstance(answer, Exception):
        found.set_exception(answer)
    else:
        found.set_result(answer)
