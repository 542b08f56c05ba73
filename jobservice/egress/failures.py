"""Why a request had no answer: one coarse word and one sentence, neither of which tells an address or a network.

What a name leads to is told to nobody. A name without an address and a name with a forbidden one are the same failure:
else a stranger could ask the operator's name server which names exist inside.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Literal

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from jobservice.errors import EgressRefused, JobserviceError

ErrorClass = Literal["refused", "dns", "connect", "tls", "timeout", "disconnected", "protocol", "too-large"]

_SENTENCES: dict[ErrorClass, str] = {
    "refused": "The service does not dial this URL.",
    "dns": "The host name leads to no address that the service dials.",
    "connect": "No connection could be made.",
    "tls": "The secure connection could not be made; check the certificate and the TLS version.",
    "timeout": "There was no complete answer in time.",
    "disconnected": "The connection ended before the answer was complete.",
    "protocol": "The answer was not valid HTTP.",
    "too-large": "The answer's header was too large.",
}

# Rules that judge what the DNS answered. The rule of schemes and ports is none: it breaks at public addresses only.
_ANSWER_RULES = frozenset(("address", "name", "own"))


class EgressFailed(JobserviceError):
    """A request that got no answer. `error_class` is the coarse word to store, count and show."""

    code = "egress-failed"

    def __init__(self, error_class: ErrorClass, detail: str | None = None) -> None:
        super().__init__(detail or _SENTENCES[error_class])
        self.error_class: ErrorClass = error_class


def classify_error(error: Exception, *, is_looked_up: bool = False) -> EgressFailed:
    """The failure that an error of aiohttp, of the system or of the guard stands for.

    `is_looked_up` says that a refusal judges the answer to a lookup, not what the tenant wrote.
    """
    if isinstance(error, EgressFailed):
        return error
    if isinstance(error, EgressRefused):
        is_hidden = is_looked_up and error.reason in _ANSWER_RULES
        return EgressFailed("dns") if is_hidden else EgressFailed("refused", error.detail)
    return EgressFailed(_error_class(error))


def _error_class(error: Exception) -> ErrorClass:
    causes = list(_causes(error))
    match error:
        case TimeoutError():
            return "timeout"
        case _ if any(isinstance(cause, ssl.SSLError | aiohttp.ClientSSLError) for cause in causes):
            return "tls"
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientConnectorError():
            return "tls" if _is_broken_handshake(error.os_error) else "connect"
        case aiohttp.InvalidURL():
            return "refused"
        case _ if any(isinstance(cause, LineTooLong) for cause in causes):
            return "too-large"
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError() | OSError():
            return "disconnected"
        case _:
            return "protocol"


def _is_broken_handshake(error: OSError) -> bool:
    """asyncio's own error for a peer that hangs up during the TLS handshake; the system's errors have a number."""
    return isinstance(error, ConnectionResetError | ConnectionAbortedError) and error.errno is None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
