"""Opens sealed values for people who may read them. A value that does not open spoils its own place only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from jobservice.errors import Unreadable
from jobservice.logs import log_event
from tenants.blobs import open_blob
from tenants.models import Blob


def find_blobs(tenant_id: UUID, blob_ids: Iterable[UUID | None]) -> dict[UUID, Blob]:
    """The stored values of these ids, in the caller's transaction; no statement when there is none."""
    wanted = [blob_id for blob_id in blob_ids if blob_id is not None]
    if not wanted:
        return {}
    return {blob.id: blob for blob in Blob.objects.filter(tenant_id=tenant_id, id__in=wanted)}


def open_error(tenant_id: UUID, error_id: UUID | None, *, epoch: int | None, blobs: Mapping[UUID, Blob]) -> str | None:
    """The text of an error, bound to the claim that met it; None when there is none or it does not open."""
    text = _open_safely(tenant_id, error_id, kind="error", epoch=epoch, blobs=blobs)
    return None if text is None else text.decode()


def open_report(
    tenant_id: UUID, report_id: UUID | None, *, kind: str, epoch: int, blobs: Mapping[UUID, Blob]
) -> Any | None:
    """The message of a progress (a string, or None) or the lines of a log; None when there is none that opens."""
    document = _open_safely(tenant_id, report_id, kind=kind, epoch=epoch, blobs=blobs)
    return None if document is None else json.loads(document)


def _open_safely(
    tenant_id: UUID, blob_id: UUID | None, *, kind: str, epoch: int | None, blobs: Mapping[UUID, Blob]
) -> bytes | None:
    blob = blobs.get(blob_id) if blob_id is not None else None
    if blob is None:
        return None
    try:
        return open_blob(tenant_id, kind=kind, blob_id=blob.id, sealed=bytes(blob.sealed), epoch=epoch)
    except Unreadable:
        log_event("blob_unreadable", level="error", tenant_id=tenant_id, code=Unreadable.code)
        return None


def open_part(tenant_id: UUID, part_id: UUID | None, *, kind: str, blobs: Mapping[UUID, Blob]) -> bytes:
    """A payload, result or metadata as UTF-8 JSON; `null` when there is none. Raises `Unreadable`."""
    blob = blobs.get(part_id) if part_id is not None else None
    if blob is None:
        return b"null"
    return open_blob(tenant_id, kind=kind, blob_id=blob.id, sealed=bytes(blob.sealed), epoch=blob.epoch)
