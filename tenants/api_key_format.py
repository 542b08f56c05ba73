"""The text of an API key: `js_live_<id, 12>_<secret, 43><checksum, 6>`, all base62.

The id finds the stored row; only the SHA-256 of the secret is stored (256 random bits need no slow hash). By the prefix
and the checksum, a CRC-32 as in GitHub's tokens, a scanner recognises a leaked key and we a typo, without a lookup.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

PREFIX = "js_live_"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 43, 6

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY = re.compile(
    rf"({PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}}))([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made. `text` is shown to its owner once; `lookup_id` and `secret_hash` (32 bytes) are stored."""

    text: str = field(repr=False)
    lookup_id: str
    secret_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedApiKey:
    """A well-formed key from a request: which row it claims to be, and the hash to compare with that row's."""

    lookup_id: str
    secret_hash: bytes = field(repr=False)


def new_api_key() -> NewApiKey:
    """A random key: an id of 71 bits and a secret of 256."""
    return new_secret_for(_random_text(ID_LENGTH))


def new_secret_for(lookup_id: str) -> NewApiKey:
    """A key of a known id with a random secret: what a rotation makes."""
    secret = _random_text(SECRET_LENGTH)
    body = f"{PREFIX}{lookup_id}_{secret}"
    return NewApiKey(body + _checksum(body), lookup_id, _hash_secret(secret))


def parse_api_key(text: str) -> ParsedApiKey | None:
    """The parts of a key, or None when its form or checksum is wrong."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    body, lookup_id, secret, checksum = match.groups()
    if not hmac.compare_digest(_checksum(body), checksum):
        return None
    return ParsedApiKey(lookup_id, _hash_secret(secret))


def matches(parsed: ParsedApiKey, stored_hash: bytes) -> bool:
    """Whether the key's secret is the stored one, in constant time."""
    return hmac.compare_digest(parsed.secret_hash, stored_hash)


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _checksum(body: str) -> str:
    """CRC-32 of the text before it in base62, the most significant digit first, padded with zeros."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
