"""A tenant's signing secrets: what its receivers verify our requests with."""

from __future__ import annotations

import base64
import secrets as randomness
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now

from jobservice.errors import SealingError
from jobservice.ids import new_id
from tenants.data_keys import open_column, seal_column
from tenants.models import SigningSecret

DEFAULT = "default"


def new_secret() -> str:
    """A random signing secret of 32 bytes, as Standard Webhooks writes it: `whsec_<base64>`."""
    return "whsec_" + base64.b64encode(randomness.token_bytes(32)).decode()


def create_default_secret(tenant_id: UUID) -> None:
    """Make, seal and store a new tenant's secret. Run in the transaction that makes the tenant."""
    row_id, secret = new_id(), new_secret()
    SigningSecret.objects.create(id=row_id, tenant_id=tenant_id, name=DEFAULT, sealed=_seal(tenant_id, row_id, secret))


def signing_secrets(tenant_id: UUID) -> list[str]:
    """The default secret, then those rotated out that still sign beside it. Run in a transaction of the tenant."""
    rows = SigningSecret.objects.filter(tenant_id=tenant_id, name=DEFAULT).filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=Now())
    )
    secrets = [_open(tenant_id, row) for row in rows.order_by(F("valid_until").desc(nulls_first=True))]
    if not secrets:
        raise SealingError("The tenant has no signing secret.")
    return secrets


def _seal(tenant_id: UUID, row_id: UUID, secret: str) -> bytes:
    return seal_column(tenant_id, table="signing_secret", column="sealed", row_id=row_id, plaintext=secret.encode())


def _open(tenant_id: UUID, row: SigningSecret) -> str:
    sealed = bytes(row.sealed)
    return open_column(tenant_id, table="signing_secret", column="sealed", row_id=row.id, sealed=sealed).decode()
