"""The one HTTP client that leaves the service: one request, one bounded answer, or one classed failure.

What it never does: follow a redirect, keep a cookie, read proxy settings, decompress, or send a request twice.
"""

from __future__ import annotations

import asyncio
import functools
import io
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.abc import AbstractResolver
from yarl import URL

from jobservice.egress.answer_limits import MAX_READ_BYTES
from jobservice.egress.failures import EgressFailed, classify_error
from jobservice.egress.guard import Guard, GuardedConnector, SystemResolver
from jobservice.egress.headers import check_header_syntax
from jobservice.egress.policy import EgressPolicy, check_url
from jobservice.errors import EgressRefused
from jobservice.logs import log_event

USER_AGENT: Final = "jobservice/0.1"
_MAX_LINE_BYTES = 8190
_MAX_HEADERS = 128
_LARGE_BODY_BYTES = 64 * 1024
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class EgressRequest:
    """One call. The whole of it, lookup to last byte, ends within `timeout_seconds`."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    read_limit_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class EgressAnswer:
    """What came back. Header names are lower-case; `truncated` says that the body went on past the read limit."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool
    elapsed_seconds: float

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case; None when absent."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known == wanted), None)


class EgressClient:
    """Sends requests under one policy, any number at once, on the event loop of its first request.

    The caller limits how many. `authorities` is a PEM file used in place of the system's certificate authorities.
    Connections end with each answer unless `keep_alive_seconds` is above 0: a kept one is shared by every tenant that
    calls that origin, and may be closed by the peer just as the next request is on its way.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: AbstractResolver | None = None,
        authorities: str | None = None,
        keep_alive_seconds: float = 0,
    ) -> None:
        self._policy = policy
        self._resolver = resolver or SystemResolver()
        self._trust = _make_trust(authorities)
        self._keep_alive_seconds = keep_alive_seconds
        # One session per scheme: a connector's guard, name cache and pool then know which scheme they serve.
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection; the client cannot be used afterwards."""
        for session in self._sessions.values():
            await session.close()
        await self._resolver.close()

    async def send(self, request: EgressRequest) -> EgressAnswer:
        """The answer, whatever its status. Raises `EgressFailed` when there is none."""
        try:
            answer = await self._try(request)
        except EgressFailed as failure:
            log_event("egress_sent", level="debug", outcome=failure.error_class)
            raise
        duration_ms = round(answer.elapsed_seconds * 1000, 1)
        log_event("egress_sent", level="debug", outcome="answered", status=answer.status, duration_ms=duration_ms)
        return answer

    async def _try(self, request: EgressRequest) -> EgressAnswer:
        started = time.monotonic()
        try:
            url = self._check(request)
            async with asyncio.timeout(request.timeout_seconds):
                return await self._exchange(request, url, started)
        except EgressRefused as refusal:
            log_event("egress_refused", level="debug", reason=refusal.reason)
            raise classify_error(refusal) from refusal
        except (aiohttp.ClientError, OSError) as error:
            raise classify_error(error) from error

    def _check(self, request: EgressRequest) -> URL:
        if request.method not in _METHODS:
            raise EgressRefused("The method is not one that the service sends.")
        check_header_syntax(request.headers)
        return check_url(request.url, self._policy)

    async def _exchange(self, request: EgressRequest, url: URL, started: float) -> EgressAnswer:
        response = await self._session(url.scheme).request(
            request.method,
            url,
            headers=_headers(request),
            data=_body(request),
            allow_redirects=False,
        )
        try:
            if not 200 <= response.status <= 599:
                raise EgressFailed("protocol")
            _fail_when_closed(response)
            body, truncated = await _read(response, min(request.read_limit_bytes, MAX_READ_BYTES))
        finally:
            # Not the context manager: leaving that waits for a request body that the peer may never take.
            response.close()
        return EgressAnswer(
            status=response.status,
            headers=tuple((name.lower(), _clean(value)) for name, value in response.headers.items()),
            body=body,
            truncated=truncated,
            elapsed_seconds=time.monotonic() - started,
        )

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            connector = GuardedConnector(
                Guard(self._policy, scheme),
                resolver=self._resolver,
                trust=self._trust,
                keep_alive_seconds=self._keep_alive_seconds,
            )
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # No clock but the one in `send`: aiohttp's rounds up to whole seconds.
                timeout=aiohttp.ClientTimeout(),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("Content-Type", "User-Agent"),
                max_line_size=_MAX_LINE_BYTES,
                max_field_size=_MAX_LINE_BYTES,
                max_headers=_MAX_HEADERS,
                middlewares=(_send_once,),
            )
        return self._sessions[scheme]


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from sending idempotent methods a second time after a lost connection: retries are the caller's."""
    try:
        return await handler(request)
    except aiohttp.ClientError as error:
        raise classify_error(error) from error


def _fail_when_closed(response: ClientResponse) -> None:
    """End the reading when the connection ends: aiohttp closes on a malformed chunk, but leaves the reader waiting."""

    def fail(closed: asyncio.Future[None] | None) -> None:
        if closed is not None and not closed.cancelled():
            closed.exception()
        if not response.content.is_eof() and response.content.exception() is None:
            response.content.set_exception(EgressFailed("protocol"))

    protocol = response.connection.protocol if response.connection else None
    if protocol is None:
        return
    if protocol.closed is None:
        fail(None)
    else:
        protocol.closed.add_done_callback(fail)


async def _read(response: ClientResponse, limit_bytes: int) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            return bytes(body[:limit_bytes]), True
    return bytes(body), False


def _headers(request: EgressRequest) -> dict[str, str]:
    """The request's own headers over the default ones, except that no compressed answer is ever asked for."""
    given = {name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"}
    if not any(name.lower() == "user-agent" for name in given):
        given["User-Agent"] = USER_AGENT
    return {**given, "Accept-Encoding": "identity"}


def _body(request: EgressRequest) -> bytes | io.BytesIO | None:
    """The body in the form aiohttp wants: it writes large bytes in one piece, and a file piece by piece."""
    if request.body is None or len(request.body) <= _LARGE_BODY_BYTES:
        return request.body
    return io.BytesIO(request.body)


def _clean(value: str) -> str:
    """Text that any store takes: aiohttp leaves bytes that are not UTF-8 as lone surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@functools.cache
def _make_trust(authorities: str | None) -> ssl.SSLContext:
    """The TLS side of every connection; reading the system's authorities takes tens of milliseconds."""
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
