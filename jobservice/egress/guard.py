"""The guard at the moment of dialling: three looks at the address, the last of them after the connection stands.

1. The resolver's answer: one lookup, and one denied address in it refuses the whole.
2. The socket about to be opened: the only place where an address written in the URL passes.
3. The peer of the open connection, before a byte of the request is sent.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from aiohttp import AddrInfoType, ClientConnectionResetError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

from jobservice.egress.addresses import Address, is_inside
from jobservice.egress.answer_limits import LimitedAnswer
from jobservice.egress.kept import IDLE_SECONDS, MOST_CONNECTIONS, MOST_SECONDS, TargetRequest
from jobservice.egress.lookups import result
from jobservice.egress.policy import LOOPBACK, EgressPolicy, check_address, is_inner_name, is_localhost
from jobservice.errors import EgressRefused

MAX_ADDRESSES = 8
_LOOKUP_CACHE_SECONDS = 10

_refusals: ContextVar[list[EgressRefused]] = ContextVar("egress_refusals")


@dataclass(frozen=True, slots=True)
class Guard:
    """The policy, for requests of one scheme."""

    policy: EgressPolicy
    scheme: str

    def check(self, text: str, port: int) -> Address:
        """The address, when it may be dialled on this port. Raises `EgressRefused`."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise EgressRefused("The host has no usable address.", reason="address") from None
        check_address(self.policy, address, scheme=self.scheme, port=port)
        return address

    def check_answer(self, host: str, answer: list[ResolveResult]) -> None:
        """Pass when every address of a DNS answer may be dialled under this host's name. Raises `EgressRefused`."""
        addresses = [self.check(found["host"], found["port"]) for found in answer]
        if is_inner_name(host) and not all(is_inside(address, self.policy.allow) for address in addresses):
            raise EgressRefused(
                "The host is a name of a private network and leads outside what is allowed.", reason="name"
            )


class GuardedResolver(AbstractResolver):
    """Any resolver, with its whole answer judged before one address of it is used."""

    def __init__(self, guard: Guard, inner: AbstractResolver) -> None:
        self._guard = guard
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        name = host.removesuffix(".")
        if is_localhost(name):
            answer = self._loopback(host, port)
        else:
            answer = await self._inner.resolve(host, port, family)
        if not answer:
            raise OSError("no addresses")
        self._guard.check_answer(name, answer)
        return answer[:MAX_ADDRESSES]

    async def close(self) -> None:
        """The inner resolver serves other connectors too: its owner closes it."""

    def _loopback(self, host: str, port: int) -> list[ResolveResult]:
        """The loopback addresses that are allowed; when neither is, both, for the guard to refuse."""
        allowed = [address for address in LOOPBACK if is_inside(address, self._guard.policy.allow)]
        return [result(host, str(address), port) for address in allowed or LOOPBACK]


class GuardedConnector(TCPConnector):
    """aiohttp's connector with the guard in it. Connections of a target are kept open, `keep_alive_seconds` idle."""

    def __init__(
        self,
        guard: Guard,
        *,
        resolver: AbstractResolver,
        trust: ssl.SSLContext,
        keep_alive_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._guard = guard
        self._kept: set[ResponseHandler] = set()
        super().__init__(
            resolver=GuardedResolver(guard, resolver),
            socket_factory=self._open_socket,
            ssl=trust,
            limit=0,
            limit_per_host=0,
            ttl_dns_cache=_LOOKUP_CACHE_SECONDS,
            keepalive_timeout=keep_alive_seconds,
        )
        protocol: type[ResponseHandler] = LimitedAnswer
        self._factory = partial(protocol, loop=self._loop)

    def _open_socket(self, dialled: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = dialled
        try:
            self._guard.check(str(address[0]), int(address[1]))
        except EgressRefused as refusal:
            _refusals.get().append(refusal)
            raise
        return socket.socket(family, kind, protocol)

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        """Connect, and hand out the connection only if no address on the way was refused.

        When several addresses race, aiohttp swallows what the socket factory raises and goes on with the next one;
        the list that the racing tasks inherit brings the refusal back here.
        """
        refused: list[EgressRefused] = []
        token = _refusals.set(refused)
        try:
            protocol = await super()._create_connection(req, traces, timeout)
        except Exception:
            if refused:
                raise refused[0] from None
            raise
        finally:
            _refusals.reset(token)
        try:
            self._check_connection(protocol, refused)
        except BaseException:
            protocol.abort()
            raise
        self._note_dialled(req, protocol)
        return protocol

    def _note_dialled(self, req: ClientRequest, protocol: ResponseHandler) -> None:
        if not isinstance(req, TargetRequest):
            return
        req.is_dialled = True
        if req.target is not None and isinstance(protocol, LimitedAnswer):
            if len(self._kept) >= MOST_CONNECTIONS:
                self._kept = {kept for kept in self._kept if kept.is_connected()}
            if len(self._kept) < MOST_CONNECTIONS:
                protocol.keep(MOST_SECONDS)
                self._kept.add(protocol)

    def _check_connection(self, protocol: ResponseHandler, refused: list[EgressRefused]) -> None:
        if refused:
            raise refused[0]
        peer = protocol.transport.get_extra_info("peername") if protocol.transport else None
        if peer is None:
            raise ClientConnectionResetError("The connection was lost at once.")
        self._guard.check(str(peer[0]), int(peer[1]))
