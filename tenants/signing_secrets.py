"""A tenant's signing secrets: what its receivers verify our requests with."""

from __future__ import annotations

import base64
import secrets as randomness
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Max, Q
from django.db.models.functions import Now

from jobservice.errors import SealingError
from jobservice.ids import new_id
from tenants.data_keys import open_column, seal_column
from tenants.models import SigningSecret

DEFAULT = "default"
# How many secrets that were rotated out may sign beside the current one.
_MOST_EARLIER = 2
# Of so many secrets somebody tries whether one has signed.
_MOST_TRIED = 100


def new_secret() -> str:
    """A random signing secret of 32 bytes, as Standard Webhooks writes it: `whsec_<base64>`."""
    return "whsec_" + base64.b64encode(randomness.token_bytes(32)).decode()


def create_default_secret(tenant_id: UUID) -> None:
    """Make, seal and store a new tenant's secret. Run in the transaction that makes the tenant."""
    create_secret(tenant_id, DEFAULT)


def create_secret(tenant_id: UUID, name: str) -> str:
    """Make, seal and store the first secret of this name, in a transaction of the tenant; the secret."""
    row_id, secret = new_id(), new_secret()
    SigningSecret.objects.create(id=row_id, tenant_id=tenant_id, name=name, sealed=_seal(tenant_id, row_id, secret))
    return secret


def rotate_secret(tenant_id: UUID, name: str, *, overlap_seconds: int) -> str:
    """Make a new secret of this name, beside which the one until now signs for the overlap; the new one.

    Run in a transaction of the tenant. Those rotated out earlier keep their time, of which the newest two still sign: a
    header must not grow with every rotation. Raises `SealingError` when there is none to rotate.
    """
    rows = SigningSecret.objects.select_for_update().filter(tenant_id=tenant_id, name=name)
    current = rows.filter(valid_until__isnull=True).first()
    if current is None:
        raise SealingError("There is no such signing secret.")
    rows.filter(id=current.id).update(valid_until=Now() + timedelta(seconds=overlap_seconds))
    rows.filter(valid_until__lte=Now()).delete()
    earlier = rows.filter(valid_until__isnull=False).order_by("-id").values_list("id", flat=True)
    rows.filter(id__in=list(earlier[_MOST_EARLIER:])).delete()
    return create_secret(tenant_id, name)


def forget_secrets(tenant_id: UUID, name: str) -> None:
    """Remove every secret of this name, in a transaction of the tenant."""
    SigningSecret.objects.filter(tenant_id=tenant_id, name=name).delete()


def signing_secrets(tenant_id: UUID, name: str = DEFAULT) -> list[str]:
    """The current secret of this name, then those rotated out that still sign beside it.

    Run in a transaction of the tenant. Raises `SealingError` when there is none.
    """
    rows = SigningSecret.objects.filter(tenant_id=tenant_id, name=name).filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=Now())
    )
    secrets = [_open(tenant_id, row) for row in rows.order_by(F("valid_until").desc(nulls_first=True))]
    if not secrets:
        raise SealingError("There is no such signing secret.")
    return secrets


def every_secret(tenant_id: UUID) -> list[str]:
    """All that sign for the tenant now, whatever their names, the newest first. In a transaction of the tenant."""
    rows = SigningSecret.objects.filter(tenant_id=tenant_id).filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=Now())
    )
    return [_open(tenant_id, row) for row in rows.order_by("-id")[:_MOST_TRIED]]


def has_secrets(tenant_id: UUID, name: str) -> bool:
    """Whether there is a secret of this name, current or not. In a transaction of the tenant."""
    return SigningSecret.objects.filter(tenant_id=tenant_id, name=name).exists()


def previous_valid_until(tenant_id: UUID, name: str = DEFAULT) -> datetime | None:
    """Until when a secret that was rotated out signs beside the current one; None when none does."""
    rows = SigningSecret.objects.filter(tenant_id=tenant_id, name=name, valid_until__gt=Now())
    latest: datetime | None = rows.aggregate(latest=Max("valid_until"))["latest"]
    return latest


def _seal(tenant_id: UUID, row_id: UUID, secret: str) -> bytes:
    return seal_column(tenant_id, table="signing_secret", column="sealed", row_id=row_id, plaintext=secret.encode())


def _open(tenant_id: UUID, row: SigningSecret) -> str:
    sealed = bytes(row.sealed)
    return open_column(tenant_id, table="signing_secret", column="sealed", row_id=row.id, sealed=sealed).decode()
