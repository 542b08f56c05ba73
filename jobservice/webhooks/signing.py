"""Signatures of Standard Webhooks over `id.timestamp.body` (standardwebhooks.com): `v1`, HMAC-SHA256 with a secret that
both sides hold, and `v1a`, Ed25519 (RFC 8032), where the receiver holds a public key and can forge nothing.

The Ed25519 key of a secret is derived from it by HKDF-SHA256 (RFC 5869), so one rotation changes both.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jobservice.errors import SealingError

Scheme = Literal["v1", "v1a"]

_PREFIX, _PUBLIC_PREFIX = "whsec_", "whpk_"
_ED25519_PURPOSE = b"jobservice webhook v1a"
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64
# The signed text is joined by full stops: an id with one could be read as another id with another timestamp.
_MESSAGE_ID = re.compile(r"[0-9A-Za-z_-]{1,200}")


def signed_headers(
    secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes, scheme: Scheme = "v1"
) -> dict[str, str]:
    """The three headers of a delivery: webhook-id, webhook-timestamp, webhook-signature. Raises as `sign` does."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, message_id=message_id, timestamp=timestamp, body=body, scheme=scheme),
    }


def sign(secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes, scheme: Scheme = "v1") -> str:
    """`v1,<base64>` or `v1a,…` for each secret, joined by spaces, so that old and new both verify during a rotation.

    `timestamp` is in Unix seconds. Raises `SealingError` without a secret or for a malformed one, `ValueError` for an
    id beyond letters, digits, `_` and `-`.
    """
    if not secrets:
        raise SealingError("A webhook is never sent unsigned: it needs at least one signing secret.")
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError("A webhook id has 1 to 200 letters, digits, underscores and hyphens.")
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        _ed25519_key(secret).sign(signed) if scheme == "v1a" else hmac.digest(_read_secret(secret), signed, "sha256")
        for secret in secrets
    ]
    return " ".join(f"{scheme},{base64.b64encode(signature).decode()}" for signature in signatures)


def public_key(secret: str) -> str:
    """What a receiver verifies `v1a` signatures of this secret with: `whpk_` and base64 of 32 bytes."""
    return _PUBLIC_PREFIX + base64.b64encode(_ed25519_key(secret).public_key().public_bytes_raw()).decode()


@lru_cache(maxsize=1024)
def _ed25519_key(secret: str) -> Ed25519PrivateKey:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_ED25519_PURPOSE)
    return Ed25519PrivateKey.from_private_bytes(hkdf.derive(_read_secret(secret)))


@lru_cache(maxsize=1024)
def _read_secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        secret = b""
    if not _MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise SealingError(
            f"A signing secret is {_PREFIX} and base64 of {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes."
        )
    return secret
