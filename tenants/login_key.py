"""The login key: under it people's second factors are sealed, and the names under which tries to log in are counted
are keyed by it.
"""

from __future__ import annotations

import hmac

from jobservice.errors import SealingError, Unavailable
from jobservice.logs import log_event
from tenants.installation_key import InstallationKey

LOGIN_KEY = InstallationKey(
    "login",
    use="SELECT FROM mfa_authenticator WHERE type IN ('totp', 'recovery_codes')",
    used="people's second factors are sealed under",
)


def login_key() -> bytes:
    """The key. Raises `ConfigurationError` when there is none, and `Unavailable` while it does not open: then nobody
    logs in, and whoever has a session keeps it.
    """
    try:
        return LOGIN_KEY.open()
    except SealingError as error:
        log_event("login_key_unusable", level="error", error_class=type(error).__name__)
        sentence = "Nobody can log in just now, nor prove who they are. Tell the operator of the service."
        raise Unavailable(sentence) from None


def name_under_key(label: str, text: str) -> str:
    """64 hexadecimal digits that stand for a text, and tell nobody without the key which."""
    return hmac.digest(login_key(), f"{label}\x00{text}".encode(), "sha256").hex()
