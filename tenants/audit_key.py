"""The audit key: under it the heads of all audit logs are signed."""

from __future__ import annotations

import hmac

from tenants.installation_key import InstallationKey

AUDIT_KEY = InstallationKey(
    "audit",
    use="SELECT FROM audit_head WHERE signature IS NOT NULL",
    used="audit logs are signed under",
)


def audit_key() -> bytes:
    """The key. Raises `ConfigurationError` when there is none, `SealingError` for one that does not open, and
    `Unavailable`.
    """
    return AUDIT_KEY.open()


def sign(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256, 32 B: what only a holder of the key can make of the message."""
    return hmac.digest(key, message, "sha256")


def has_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `sign` made this of the message."""
    return hmac.compare_digest(sign(key, message), signature)
