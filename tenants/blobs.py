"""Sealed values of a job's life, each a row of `blob` bound to its tenant, kind, id and, for results, epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from jobservice.crypto.envelope import Place, open_sealed, seal
from jobservice.ids import new_id
from jobservice.statements import run_statement
from tenants.data_keys import tenant_keys

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class SealedBlob:
    """A value ready to be stored."""

    id: UUID
    tenant_id: UUID
    kind: str
    epoch: int | None
    sealed: bytes = field(repr=False)


def seal_blob(tenant_id: UUID, *, kind: str, plaintext: bytes, epoch: int | None = None) -> SealedBlob:
    """Seal a value under a new id; `epoch` for what one claim produced (result, error, response)."""
    blob_id = new_id()
    place = Place(tenant_id, "blob", kind, blob_id, epoch)
    return SealedBlob(blob_id, tenant_id, kind, epoch, seal(plaintext, key=tenant_keys(tenant_id).current, place=place))


def open_blob(tenant_id: UUID, *, kind: str, blob_id: UUID, sealed: bytes, epoch: int | None = None) -> bytes:
    """The value. Raises `Unreadable` when the blob was altered or belongs to another place."""
    place = Place(tenant_id, "blob", kind, blob_id, epoch)
    return open_sealed(bytes(sealed), keys=tenant_keys(tenant_id).data, place=place)


def insert_blobs(blobs: Sequence[SealedBlob]) -> None:
    """Store sealed values, in the caller's transaction."""
    if not blobs:
        return
    run_statement(
        _SQL / "insert_blobs.sql",
        {
            "ids": [blob.id for blob in blobs],
            "tenants": [blob.tenant_id for blob in blobs],
            "kinds": [blob.kind for blob in blobs],
            "epochs": [blob.epoch for blob in blobs],
            "values": [blob.sealed for blob in blobs],
        },
    )
