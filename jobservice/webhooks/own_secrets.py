"""Signing secrets of one receiver's own: an endpoint's, or a job type's. Each runs in a transaction of the tenant.

`name` is the receiver's id as people see it: the name under which its secrets are kept.
"""

from __future__ import annotations

from uuid import UUID

from jobservice.webhooks.signing import public_key
from jobservice.webhooks.signing_choice import Signing
from tenants.signing_secrets import DEFAULT, create_secret, forget_secrets, signing_secrets


def change_secret(tenant_id: UUID, name: str, *, old: Signing, new: Signing) -> str | None:
    """Make or forget what a change of the signing asks for; the secret, if one was made.

    A secret of its own stays while its scheme does: under the other one somebody would hold too much or nothing.
    """
    stays = old["own"] and new["own"] and old["scheme"] == new["scheme"]
    if old["own"] and not stays:
        forget_secrets(tenant_id, name)
    return create_secret(tenant_id, name) if new["own"] and not stays else None


def receiver_secrets(tenant_id: UUID, name: str, signing: Signing) -> list[str]:
    """What signs requests to the receiver, the current secret first. Raises `SealingError` when there is none."""
    return signing_secrets(tenant_id, name if signing["own"] else DEFAULT)


def shown_public_key(tenant_id: UUID, name: str, signing: Signing) -> str | None:
    """What the receiver verifies `v1a` with; None for `v1`. Raises `SealingError`."""
    return public_key(receiver_secrets(tenant_id, name, signing)[0]) if signing["scheme"] == "v1a" else None


def shown_secret(secret: str | None, signing: Signing) -> str | None:
    """A secret just made, as far as anybody sees it: whoever held that of `v1a` would forge what it verifies."""
    return None if signing["scheme"] == "v1a" else secret
