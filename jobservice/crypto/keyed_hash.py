"""Keyed hashes of unique, concurrency and idempotency keys: equal values are found, never read from a dump.

They use a tenant's index key, which does not rotate with its data key: a rotation would forget every lock.
"""

from __future__ import annotations

import hmac

from jobservice.crypto.framing import frame
from jobservice.errors import SealingError

INDEX_KEY_BYTES = 32

_LABEL = b"jobservice/keyed-hash/v1"


def keyed_hash(index_key: bytes, purpose: str, *parts: bytes) -> bytes:
    """32 bytes: HMAC-SHA256 of the purpose and the parts, each under its length. Raises `SealingError` on a bad key."""
    if len(index_key) != INDEX_KEY_BYTES:
        raise SealingError(f"An index key has {len(index_key)} bytes, not {INDEX_KEY_BYTES}.")
    return hmac.digest(index_key, frame(_LABEL, purpose.encode(), *parts), "sha256")
