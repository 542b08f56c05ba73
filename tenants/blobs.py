"""Sealed values of a job's life, each a row of `blob` bound to its tenant, kind, id and, for results, epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.crypto.envelope import Place, seal, sealed_under
from jobservice.errors import KeyNotHeld
from jobservice.ids import new_id
from jobservice.statements import run_statement
from tenants.context import own_role_tx
from tenants.data_keys import open_value, tenant_keys
from tenants.models import Blob

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class SealedBlob:
    """A value ready to be stored."""

    id: UUID
    tenant_id: UUID
    kind: str
    epoch: int | None
    sealed: bytes = field(repr=False)


def seal_blob(
    tenant_id: UUID, *, kind: str, plaintext: bytes, epoch: int | None = None, blob_id: UUID | None = None
) -> SealedBlob:
    """Seal a value under a new id, or under that of the value it replaces.

    `epoch` for what one claim produced (result, error, response, progress, log).
    """
    blob_id = blob_id or new_id()
    place = Place(tenant_id, "blob", kind, blob_id, epoch)
    return SealedBlob(blob_id, tenant_id, kind, epoch, seal(plaintext, key=tenant_keys(tenant_id).current, place=place))


def open_blob(tenant_id: UUID, *, kind: str, blob_id: UUID, sealed: bytes, epoch: int | None = None) -> bytes:
    """The value. Raises `Unreadable` when the blob was altered or belongs to another place."""
    place = Place(tenant_id, "blob", kind, blob_id, epoch)
    try:
        return open_value(sealed, place=place)
    except KeyNotHeld:
        # A job waits for its turn with its payload at hand; meanwhile a rotation may have sealed the stored one anew
        # and retired the version of this copy.
        stored = _read_sealed(tenant_id, blob_id)
        if stored is None or stored == bytes(sealed):
            raise
        return open_value(stored, place=place)


def is_outdated(blob: SealedBlob) -> bool:
    """Whether the tenant's keys have moved on since the value was sealed.

    Asked in the transaction that stores the value, just before: a rotation waits until no such transaction can still
    be under way (`jobservice/jobs/resealing.py`), however long ago the value was sealed.
    """
    return sealed_under(blob.sealed) < tenant_keys(blob.tenant_id).current.version


def insert_blobs(blobs: Sequence[SealedBlob]) -> None:
    """Store sealed values, in the caller's transaction."""
    if blobs:
        run_statement(_SQL / "insert_blobs.sql", _columns(blobs))


def overwrite_blobs(blobs: Sequence[SealedBlob]) -> None:
    """Write sealed values over those of the same ids, in the caller's transaction, which holds what refers to them."""
    if blobs:
        run_statement(_SQL / "overwrite_blobs.sql", _columns(blobs))


def _columns(blobs: Sequence[SealedBlob]) -> dict[str, list[Any]]:
    return {
        "ids": [blob.id for blob in blobs],
        "tenants": [blob.tenant_id for blob in blobs],
        "kinds": [blob.kind for blob in blobs],
        "epochs": [blob.epoch for blob in blobs],
        "values": [blob.sealed for blob in blobs],
    }


def _read_sealed(tenant_id: UUID, blob_id: UUID) -> bytes | None:
    """The stored value; None when it is gone."""
    with own_role_tx(tenant_id):
        found = Blob.objects.filter(tenant_id=tenant_id, id=blob_id).values_list("sealed", flat=True).first()
    return None if found is None else bytes(found)
