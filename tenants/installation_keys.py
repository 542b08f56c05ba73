"""The keys that belong to the installation and to no tenant, together: made, opened and forgotten."""

from __future__ import annotations

from tenants.audit_key import AUDIT_KEY
from tenants.login_key import LOGIN_KEY

INSTALLATION_KEYS = (AUDIT_KEY, LOGIN_KEY)


def ensure_installation_keys() -> None:
    """Make those that there are not, and open all. As the owner, not in a transaction. Raises `KeyProviderAway`, and
    `ConfigurationError` when one was lost.
    """
    for key in INSTALLATION_KEYS:
        key.ensure()


def load_installation_keys() -> None:
    """Open them before they are needed, so that no transaction waits for it. Raises as above."""
    for key in INSTALLATION_KEYS:
        key.load()


def forget_installation_keys() -> None:
    """Open them anew when they are next needed."""
    for key in INSTALLATION_KEYS:
        key.forget()
