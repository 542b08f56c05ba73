"""Connections that are used again: only by requests to the target they were opened for, and only for a short while.

A peer may close an idle connection just as the next request is on its way. Such a request goes out once more, on a
connection of its own: so what is sent on kept ones must be known to its receiver by an id, as webhooks are.
"""

from __future__ import annotations

from uuid import UUID

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ServerDisconnectedError,
)
from aiohttp.client_reqrep import ConnectionKey

from jobservice.egress.failures import classify_error

# Shorter than most servers keep an idle connection, so that a request seldom meets one that has just ended.
IDLE_SECONDS = 1.5
# A name may lead elsewhere by then: whoever is called again and again is looked up and dialled anew.
MOST_SECONDS = 60.0
# Of all targets together, in use or idle; what is opened beyond ends with its answer.
MOST_CONNECTIONS = 256


class TargetKey(ConnectionKey):
    """aiohttp's key of an origin with the target as one more part, so that no two targets ever share a connection."""

    @classmethod
    def of(cls, origin: ConnectionKey, target: UUID) -> TargetKey:
        return tuple.__new__(cls, (*origin, target))


class TargetRequest(ClientRequest):
    """A request that knows its target, None when its connection is its own; and whether one was opened for it."""

    target: UUID | None = None
    is_dialled = False

    @property
    def connection_key(self) -> ConnectionKey:
        origin = super().connection_key
        return origin if self.target is None else TargetKey.of(origin, self.target)


class SendOnce:
    """A middleware that says which target a request is for, and sends it once.

    aiohttp would send idempotent methods a second time after a lost connection: retries are the caller's. Only a
    request that met a kept connection just as it ended goes out again. Raises `EgressFailed`.
    """

    def __init__(self, target: UUID | None) -> None:
        self._target = target

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        assert isinstance(request, TargetRequest)  # noqa: S101 (for the type checker: the session makes no others)
        request.target = self._target
        try:
            return await _send(request, handler)
        except ClientError as error:
            raise classify_error(error) from error


async def _send(request: TargetRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except (ServerDisconnectedError, ClientOSError) as error:
        # A dial that failed is no kept connection that ended: it would be looked up and dialled twice.
        if request.is_dialled or isinstance(error, ClientConnectorError):
            raise
    # No answer came on a connection that had been idle: most likely it had ended meanwhile.
    request.target = None
    return await handler(request)
