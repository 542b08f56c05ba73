"""Reads of jobs: one, and pages of many. Each is one short transaction of its tenant; sealed values open after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.cursors import CursorScope
from jobservice.ids import JOB, show_id
from jobservice.jobs.job_search import (
    JobFilters,
    expect_many_jobs,
    find_job_ids,
    measure_jobs,
    read_job,
    read_jobs,
    search_jobs,
)
from jobservice.jobs.reports import PROGRESS
from jobservice.jobs.representation import represent_job, show_time
from jobservice.jobs.sealed_reads import find_blobs, open_error, open_part, open_report
from jobservice.jobs.waiting import read_wait
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.signing import public_key
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import tenant_keys
from tenants.models import Blob
from tenants.signing_secrets import DEFAULT, previous_valid_until, rotate_secret, signing_secrets

_SQL = Path(__file__).resolve().parent / "sql"
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
        waiting = None if row.finished_at is not None else read_wait(tenant_id, job_id)
        part_ids = {part: getattr(row, f"{part}_id") for part in include}
        blobs = find_blobs(tenant_id, [*part_ids.values(), row.error_id, row.progress_id])
        if include:
            note_act(tenant_id, "job.parts-read", show_id(JOB, job_id), after={"parts": sorted(include)})
    parts = {part: open_part(tenant_id, part_id, kind=part, blobs=blobs) for part, part_id in part_ids.items()}
    if parts:
        log_event("parts_opened", tenant_id=tenant_id, job_id=job_id, count=len(parts))
    return FoundJob(_show(tenant_id, row, blobs, waiting=waiting), parts)


def show_job(tenant_id: UUID, job_id: UUID) -> dict[str, Any]:
    """A job as the API shows it, for whoever has just moved it. In the caller's transaction, which holds its lock."""
    row = read_job(tenant_id, job_id)
    assert row is not None  # noqa: S101 (the caller holds its lock; for the type checker)
    return _show(tenant_id, row, find_blobs(tenant_id, [row.error_id, row.progress_id]))


def show_jobs(tenant_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Those of these jobs that there are, as the API shows them. In the caller's transaction."""
    if not job_ids:
        return {}
    rows = read_jobs(tenant_id, job_ids)
    blobs = find_blobs(tenant_id, [blob_id for row in rows for blob_id in (row.error_id, row.progress_id)])
    return {row.id: _show(tenant_id, row, blobs) for row in rows}


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
        blobs = find_blobs(tenant_id, [blob_id for row in rows for blob_id in (row.error_id, row.progress_id)])
    data = [_show(tenant_id, row, blobs) for row in rows]
    return Page(data, scope.show(rows[-1].id.bytes) if len(found) > limit else None)


def find_jobs(tenant_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Those of these jobs that the tenant has, by their ids."""
    with tenant_tx(tenant_id):
        rows = read_jobs(tenant_id, job_ids)
        blobs = find_blobs(tenant_id, [blob_id for row in rows for blob_id in (row.error_id, row.progress_id)])
    return {row.id: _show(tenant_id, row, blobs) for row in rows}


def list_latest_of_type(tenant_id: UUID, type_: str, *, other_than: UUID, limit: int) -> list[dict[str, Any]]:
    """The newest jobs of a type that are over, but this one."""
    parameters = {"tenant": tenant_id, "type": type_, "other_than": other_than, "limit": limit}
    with tenant_tx(tenant_id):
        wanted = [row.id for row in run_statement(_SQL / "list_latest_of_type.sql", parameters)]
        found = show_jobs(tenant_id, wanted)
    return [found[job_id] for job_id in wanted if job_id in found]


def count_newer_jobs(tenant_id: UUID, filters: JobFilters, *, after: UUID, limit: int) -> int:
    """How many jobs came after this one, counted up to `limit`."""
    with tenant_tx(tenant_id):
        return len(find_job_ids(tenant_id, filters, after=after, limit=limit))


def count_matching_jobs(tenant_id: UUID, filters: JobFilters, *, limit: int) -> int:
    """How many jobs the filters let through now, counted up to `limit`."""
    with tenant_tx(tenant_id):
        expect_many_jobs()
        return measure_jobs(tenant_id, filters, limit=limit)[0]


def _show(
    tenant_id: UUID, row: Any, blobs: Mapping[UUID, Blob], *, waiting: dict[str, Any] | None = None
) -> dict[str, Any]:
    error = open_error(tenant_id, row.error_id, epoch=row.error_epoch, blobs=blobs)
    progress = open_report(tenant_id, row.progress_id, kind=PROGRESS, epoch=row.epoch, blobs=blobs)
    return represent_job(row, error_message=error, progress_message=progress, waiting=waiting)


def read_default_secret(tenant_id: UUID) -> dict[str, str | None]:
    """The secret that receivers verify with now, and until when its predecessor signs beside it."""
    with tenant_tx(tenant_id):
        shown = show_secret(signing_secrets(tenant_id)[0], previous_valid_until(tenant_id))
        note_act(tenant_id, "signing-secret.read", DEFAULT)
        return shown


def rotate_default_secret(tenant_id: UUID, *, overlap_seconds: int) -> dict[str, str | None]:
    """Make a new secret, beside which the one until now signs for the overlap; as `read_default_secret`."""
    tenant_keys(tenant_id)  # loaded before the transaction that seals
    with tenant_tx(tenant_id):
        secret = rotate_secret(tenant_id, DEFAULT, overlap_seconds=overlap_seconds)
        shown = show_secret(secret, previous_valid_until(tenant_id))
        note_act(tenant_id, "signing-secret.rotated", DEFAULT, after={"overlap_seconds": overlap_seconds})
        return shown


def show_secret(secret: str, valid_until: datetime | None) -> dict[str, str | None]:
    """A signing secret as the API shows it."""
    return {"secret": secret, "public_key": public_key(secret), "previous_valid_until": show_time(valid_until)}
