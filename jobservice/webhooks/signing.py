"""Standard Webhooks v1 signatures: HMAC-SHA256 over `id.timestamp.body` (standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence

from jobservice.errors import SealingError

_PREFIX = "whsec_"
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64
# The signed text is joined by full stops: an id with one could be read as another id with another timestamp.
_MESSAGE_ID = re.compile(r"[0-9A-Za-z_-]{1,200}")


def signed_headers(secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a delivery: webhook-id, webhook-timestamp, webhook-signature. Raises as `sign` does."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, message_id=message_id, timestamp=timestamp, body=body),
    }


def sign(secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` for each secret, joined by spaces, so that old and new both verify during a rotation.

    `timestamp` is in Unix seconds. Raises `SealingError` without a secret or for a malformed one, `ValueError` for an
    id beyond letters, digits, `_` and `-`.
    """
    if not secrets:
        raise SealingError("A webhook is never sent unsigned: it needs at least one signing secret.")
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError("A webhook id has 1 to 200 letters, digits, underscores and hyphens.")
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(_read_secret(secret), signed, "sha256") for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


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
