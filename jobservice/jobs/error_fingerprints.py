"""Which errors are the same one: a fingerprint of a job type, a code and what of a message does not vary. Pure.

A text of a run is sealed, so its fingerprint is an HMAC under the tenant's index key: whoever reads a dump can neither
read the text nor try out guesses of it. An error without a text is named by its type and code, which are stored in the
clear anyway; its fingerprint is a plain digest, which whoever has no key (the dispatcher) can make too.
"""

from __future__ import annotations

import re
from hashlib import sha256
from uuid import UUID

from jobservice.crypto.framing import frame
from jobservice.crypto.keyed_hash import keyed_hash

# Enough to tell errors apart; what a long text ends with varies.
MOST_CHARACTERS = 500
_PURPOSE = "error-group"
_LABEL = b"jobservice/error-group/v1"

# In this order: what is longer and more certain first, so that no part of it is taken for something else. Each repeats
# over characters that its next part does not begin with, so that none goes over a text more than once from one place.
_VARYING = (
    (re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "<address>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[a-z]{2,10}_[0-7][0-9a-hjkmnp-tv-z]{25}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), "<address>"),
    (re.compile(r"\[[0-9a-f:.%]{2,45}\](?::\d{1,5})?", re.IGNORECASE), "<address>"),
    (re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE), "<address>"),
    (re.compile(r"\"[^\"\n]*\"|(?<![\w])'[^'\n]*'(?!\w)|`[^`\n]*`|“[^”\n]*”|«[^»\n]*»"), "<text>"),
    (re.compile(r"(?:[a-z]:)?(?:[\\/][\w.@+~-]+){2,}[\\/]?", re.IGNORECASE), "<path>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<number>"),
    # Letters and digits together, of a length that no word has, or hexadecimal ones.
    (re.compile(r"\b(?=[\w-]{0,100}\d)(?=[\w-]{0,100}[^\W\d_])[\w-]{20,}"), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]{0,40}\d)(?=[0-9a-f]{0,40}[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"[+-]?\d[\d_,.]*(?:e[+-]?\d+)?", re.IGNORECASE), "<number>"),
)


def normalize_message(message: str) -> str:
    """The message with what varies from run to run replaced: numbers, ids, times, addresses, paths, quoted texts."""
    text = " ".join(message[: MOST_CHARACTERS * 4].split())
    for pattern, placeholder in _VARYING:
        text = pattern.sub(placeholder, text)
    return text[:MOST_CHARACTERS]


def fingerprint_message(index_key: bytes, *, type_: str, code: str, message: str) -> UUID:
    """The fingerprint of an error with a text, the same for every text that differs in what varies only."""
    parts = (type_.encode(), code.encode(), normalize_message(message).encode())
    return _as_id(keyed_hash(index_key, _PURPOSE, *parts))


def fingerprint_code(tenant_id: UUID, *, type_: str, code: str) -> UUID:
    """The fingerprint of an error without a text."""
    return _as_id(sha256(frame(_LABEL, tenant_id.bytes, type_.encode(), code.encode())).digest())


def _as_id(digest: bytes) -> UUID:
    """Sixteen bytes of it, as an id of the version that is free for such (RFC 9562, 8)."""
    value = int.from_bytes(digest[:16], "big") & ~(0xF000 << 64) & ~(0xC000 << 48)
    return UUID(int=value | (8 << 76) | (0x8000 << 48))
