"""The one HTTP client that leaves the service: one request, one bounded answer, or one classed failure.

What it never does: follow a redirect, keep a cookie, read proxy settings, decompress, or send a request twice, except
one that may go out on a kept connection (`kept.py`).
"""

from __future__ import annotations

import asyncio
import functools
import io
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import aiohttp
from aiohttp import ClientResponse
from aiohttp.abc import AbstractResolver
from yarl import URL

from jobservice.egress.answer_limits import MAX_READ_BYTES
from jobservice.egress.failures import EgressFailed, classify_error
from jobservice.egress.guard import Guard, GuardedConnector
from jobservice.egress.headers import LOOP_HEADER, check_header_syntax
from jobservice.egress.kept import IDLE_SECONDS, SendOnce, TargetRequest
from jobservice.egress.lookups import SystemResolver, asking_tenant
from jobservice.egress.own_inbox import is_inbox_url
from jobservice.egress.policy import EgressPolicy, check_url, inbox_policy
from jobservice.egress.urls import host_of, literal_address
from jobservice.errors import EgressRefused
from jobservice.logs import log_event

USER_AGENT: Final = "jobservice/0.1"
# A lookup that leads nowhere takes whole steps of time: how soon it failed would tell what our name server knows.
LOOKUP_STEP_SECONDS = 0.25
_MAX_LINE_BYTES = 8190
_MAX_HEADERS = 128
_LARGE_BODY_BYTES = 64 * 1024
_INBOX = "inbox"
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
    # Whose connections it may use again, and leave open for the next one. None: its connection ends with the answer.
    target: UUID | None = None
    # Whose lookup it is, if it needs one.
    tenant: UUID | None = None


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
    A connection of a request with a target stays open for `keep_alive_seconds` after the answer, for the next one to
    the same target and origin. `mark` goes out with each request, for our own API to know it by.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: AbstractResolver | None = None,
        authorities: str | None = None,
        keep_alive_seconds: float = IDLE_SECONDS,
        mark: str | None = None,
    ) -> None:
        self._policy = policy
        self._mark = mark
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
        started = time.monotonic()
        try:
            answer = await self._try(request, started)
        except EgressFailed as failure:
            if failure.error_class == "dns":
                await _end_the_step(started, request.timeout_seconds)
            log_event("egress_sent", level="debug", outcome=failure.error_class)
            raise
        duration_ms = round(answer.elapsed_seconds * 1000, 1)
        log_event("egress_sent", level="debug", outcome="answered", status=answer.status, duration_ms=duration_ms)
        return answer

    async def _try(self, request: EgressRequest, started: float) -> EgressAnswer:
        is_looked_up = False
        asking_tenant.set(request.tenant)
        try:
            url = self._check(request)
            is_looked_up = literal_address(host_of(url)) is None
            async with asyncio.timeout(request.timeout_seconds):
                return await self._exchange(request, url, started)
        except EgressRefused as refusal:
            log_event("egress_refused", level="debug", reason=refusal.reason)
            raise classify_error(refusal, is_looked_up=is_looked_up) from refusal
        except (aiohttp.ClientError, OSError) as error:
            raise classify_error(error) from error

    def _check(self, request: EgressRequest) -> URL:
        if request.method not in _METHODS:
            raise EgressRefused("The method is not one that the service sends.")
        if request.method != "POST" and is_inbox_url(request.url, self._policy.inbox):
            raise EgressRefused("The URL leads back to this service.", reason="own")
        check_header_syntax(request.headers)
        return check_url(request.url, self._policy)

    async def _exchange(self, request: EgressRequest, url: URL, started: float) -> EgressAnswer:
        response = await self._session(request.url, url.scheme).request(
            request.method,
            url,
            headers=_headers(request, self._mark),
            data=_body(request),
            allow_redirects=False,
            middlewares=(SendOnce(request.target),),
        )
        try:
            if not 200 <= response.status <= 599:
                raise EgressFailed("protocol")
            with _failing_when_closed(response):
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

    def _session(self, url: str, scheme: str) -> aiohttp.ClientSession:
        is_inbox = is_inbox_url(url, self._policy.inbox)
        # Of its own, so that no connection to it is ever used for another path of this service.
        name = _INBOX if is_inbox else scheme
        if name not in self._sessions:
            connector = GuardedConnector(
                Guard(inbox_policy(self._policy) if is_inbox else self._policy, scheme),
                resolver=self._resolver,
                trust=self._trust,
                keep_alive_seconds=self._keep_alive_seconds,
            )
            self._sessions[name] = aiohttp.ClientSession(
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
                request_class=TargetRequest,
            )
        return self._sessions[name]


@contextmanager
def _failing_when_closed(response: ClientResponse) -> Iterator[None]:
    """End the reading when the connection ends: aiohttp closes on a malformed chunk, but leaves the reader waiting."""

    def fail(closed: asyncio.Future[None] | None) -> None:
        if closed is not None and not closed.cancelled():
            closed.exception()
        if not response.content.is_eof() and response.content.exception() is None:
            response.content.set_exception(EgressFailed("protocol"))

    protocol = response.connection.protocol if response.connection else None
    closed = protocol.closed if protocol is not None else None
    if closed is not None:
        closed.add_done_callback(fail)
    elif protocol is not None:
        fail(None)
    try:
        yield
    finally:
        # A kept connection goes on: it must not gather the readers of all its answers.
        if closed is not None:
            closed.remove_done_callback(fail)


async def _read(response: ClientResponse, limit_bytes: int) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            return bytes(body[:limit_bytes]), True
    return bytes(body), False


async def _end_the_step(started: float, timeout_seconds: float) -> None:
    elapsed = time.monotonic() - started
    rest = LOOKUP_STEP_SECONDS - elapsed % LOOKUP_STEP_SECONDS
    await asyncio.sleep(max(0.0, min(rest, timeout_seconds - elapsed)))


def _headers(request: EgressRequest, mark: str | None) -> dict[str, str]:
    """The request's own headers over the default ones, except that no compressed answer is ever asked for."""
    own = {"Accept-Encoding": "identity", **({LOOP_HEADER: mark} if mark else {})}
    if request.target is None:
        own["Connection"] = "close"
    replaced = {name.lower() for name in own}
    given = {name: value for name, value in request.headers.items() if name.lower() not in replaced}
    if not any(name.lower() == "user-agent" for name in given):
        given["User-Agent"] = USER_AGENT
    return {**given, **own}


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
