"""Reads of jobs: one, and pages of many. Each is one short transaction of its tenant; sealed values open after it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Max
from django.db.models.functions import Now

from jobservice.jobs.cursors import CursorScope
from jobservice.jobs.job_search import JobFilters, read_job, search_jobs
from jobservice.jobs.representation import represent_job, show_time
from jobservice.jobs.sealed_reads import find_blobs, open_error, open_part
from jobservice.logs import log_event
from tenants.context import tenant_tx
from tenants.models import SigningSecret
from tenants.signing_secrets import DEFAULT, signing_secrets

PARTS = ("payload", "result", "metadata")


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, as the API shows its entries. `next_cursor` is None at the end."""

    data: list[dict[str, Any]]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job as the API shows it, and the parts asked for: UTF-8 JSON by name, `null` where there is none."""

    job: dict[str, Any]
    parts: dict[str, bytes] = field(default_factory=dict, repr=False)


def find_job(tenant_id: UUID, job_id: UUID, *, include: Collection[str] = ()) -> FoundJob | None:
    """One job; None when the tenant has none of this id. `include` names some of `PARTS`.

    Raises `Unreadable` when a part does not open.
    """
    with tenant_tx(tenant_id):
        row = read_job(tenant_id, job_id)
        if row is None:
            return None
        part_ids = {part: getattr(row, f"{part}_id") for part in include}
        blobs = find_blobs(tenant_id, [*part_ids.values(), row.error_id])
    error = open_error(tenant_id, row.error_id, epoch=row.error_epoch, blobs=blobs)
    parts = {part: open_part(tenant_id, part_id, kind=part, blobs=blobs) for part, part_id in part_ids.items()}
    if parts:
        log_event("parts_opened", tenant_id=tenant_id, job_id=job_id, count=len(parts))
    return FoundJob(represent_job(row, error_message=error), parts)


def has_job(tenant_id: UUID, job_id: UUID, *, queues: Collection[str] | None = None) -> bool:
    """Whether the tenant has a job of this id, in one of these queues."""
    with tenant_tx(tenant_id):
        row = read_job(tenant_id, job_id)
    return row is not None and (queues is None or row.queue in queues)


def is_over(tenant_id: UUID, job_id: UUID) -> bool | None:
    """Whether the job has ended; None when the tenant has none of this id."""
    with tenant_tx(tenant_id):
        row = read_job(tenant_id, job_id)
    return None if row is None else row.finished_at is not None


def list_jobs(tenant_id: UUID, *, filters: JobFilters, limit: int, cursor: str | None = None) -> Page:
    """A page of the tenant's jobs, the newest first. Raises `Invalid` for a cursor that is not of this list."""
    scope = CursorScope(tenant_id, "jobs", {name: str(value) for name, value in asdict(filters).items()})
    before = None if cursor is None else UUID(bytes=scope.read(cursor))
    with tenant_tx(tenant_id):
        found = search_jobs(tenant_id, filters, before=before, limit=limit + 1)
        rows = found[:limit]
        blobs = find_blobs(tenant_id, [row.error_id for row in rows])
    messages = [open_error(tenant_id, row.error_id, epoch=row.error_epoch, blobs=blobs) for row in rows]
    data = [represent_job(row, error_message=message) for row, message in zip(rows, messages, strict=True)]
    return Page(data, scope.show(rows[-1].id.bytes) if len(found) > limit else None)


def read_default_secret(tenant_id: UUID) -> dict[str, str | None]:
    """The secret that receivers verify with now, and until when its predecessor signs beside it."""
    with tenant_tx(tenant_id):
        secret = signing_secrets(tenant_id)[0]
        rows = SigningSecret.objects.filter(tenant_id=tenant_id, name=DEFAULT, valid_until__gt=Now())
        valid_until = rows.aggregate(latest=Max("valid_until"))["latest"]
    return {"secret": secret, "public_key": None, "previous_valid_until": show_time(valid_until)}
