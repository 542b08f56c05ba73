"""The text of an invitation: `js_invite_<43 base62 characters>`, 256 random bits, shown once and stored as a hash."""

from __future__ import annotations

import hashlib
import secrets
import string

PREFIX = "js_invite_"
_SECRET_LENGTH = 43
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def new_invitation() -> str:
    """A random invitation."""
    return PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_SECRET_LENGTH))


def hash_invitation(text: str) -> bytes:
    """What is stored of an invitation, and what it is found by: its SHA-256. So many random bits need no slow hash."""
    return hashlib.sha256(text.encode()).digest()
