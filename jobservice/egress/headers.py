"""Rules for the headers of a request: the syntax for everyone, and the names that tenants may not set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from jobservice.errors import EgressRefused

# Says which installation sent a request; its own API refuses what bears its mark, whatever name it came by.
LOOP_HEADER: Final = "Job-Via"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
# Printable ASCII and tab: no CR, LF or NUL can start a second header or request.
_VALUE = re.compile(r"[\t\x20-\x7e]*")
MAX_VALUE_CHARACTERS = 8190

# These frame the message or belong to one connection: only the HTTP client itself sets them, for callers of any kind.
# Servers that know headers by CGI's names take an underscore for a hyphen, so it is no way around.
_FRAMING = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "te", "trailer", "expect"),
        *("connection", "keep-alive", "upgrade", "http2-settings"),
    )
)
_FRAMING_PREFIX = "proxy-"
_SIGNATURE_PREFIX = "webhook-"


def check_headers(headers: Mapping[str, str]) -> None:
    """Pass when a tenant may set these headers on calls to an endpoint. Raises `EgressRefused` naming the header."""
    check_header_syntax(headers)
    for name in headers:
        known = _known_as(name)
        if known.startswith(_SIGNATURE_PREFIX) or known == LOOP_HEADER.lower():
            raise EgressRefused(f"The header {name} is set by the service.", reason="header")


def check_header_syntax(headers: Mapping[str, str]) -> None:
    """Pass when the headers can be sent without changing the shape of the request. Raises `EgressRefused`."""
    seen = set()
    for name, value in headers.items():
        known = _check_name(name)
        if known in seen:
            raise EgressRefused(f"The header {name} is given twice.", reason="header")
        if len(value) > MAX_VALUE_CHARACTERS or not _VALUE.fullmatch(value):
            raise EgressRefused(
                f"The value of the header {name} is too long or has characters that are not allowed.", reason="header"
            )
        seen.add(known)


@lru_cache(maxsize=1024)
def _check_name(name: str) -> str:
    """What receivers may know the header as. Raises `EgressRefused`."""
    if not _TOKEN.fullmatch(name):
        raise EgressRefused("A header's name has characters that are not allowed.", reason="header")
    known = _known_as(name)
    if known in _FRAMING or known.startswith(_FRAMING_PREFIX):
        raise EgressRefused(f"The header {name} is set by the service.", reason="header")
    return known


def _known_as(name: str) -> str:
    return name.lower().replace("_", "-")
