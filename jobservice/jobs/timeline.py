"""The story of one job: its attempts, and the timeline built from its rows. Both are read, never written, here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice import ids
from jobservice.cursors import CursorScope
from jobservice.jobs.job_search import read_job
from jobservice.jobs.models import Attempt
from jobservice.jobs.reports import LOG, PROGRESS
from jobservice.jobs.representation import show_progress, show_time
from jobservice.jobs.sealed_reads import find_blobs, open_error, open_report
from jobservice.jobs.selectors import Page
from jobservice.statements import run_statement
from jobservice.webhooks.models import DeliveryAttempt, Event
from tenants.context import tenant_tx
from tenants.models import Blob

WORKER = "wrk"
_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One thing that happened. `id` is the row's; entries are ordered by their time, then by it (list_timeline.sql)."""

    at: datetime
    id: UUID
    type: str
    data: dict[str, Any]


def list_attempts(tenant_id: UUID, job_id: UUID, *, limit: int, cursor: str | None = None) -> Page | None:
    """A page of a job's ended attempts, the newest first; None when the tenant has no such job.

    Raises `Invalid` for a cursor that is not of this list.
    """
    scope = CursorScope(tenant_id, "attempts", {"job": str(job_id)})
    with tenant_tx(tenant_id):
        if read_job(tenant_id, job_id) is None:
            return None
        attempts = Attempt.objects.filter(tenant_id=tenant_id, job_id=job_id).order_by("-id")
        if cursor is not None:
            attempts = attempts.filter(id__lt=UUID(bytes=scope.read(cursor)))
        found = list(attempts[: limit + 1])
        blobs = find_blobs(tenant_id, [blob_id for attempt in found[:limit] for blob_id in _sealed_in(attempt)])
    data = [_show_attempt(attempt, blobs) for attempt in found[:limit]]
    return Page(data, scope.show(found[limit - 1].id.bytes) if len(found) > limit else None)


def list_events(tenant_id: UUID, job_id: UUID, *, limit: int, cursor: str | None = None) -> Page | None:
    """A page of a job's timeline, in the order in which things happened; None when the tenant has no such job.

    `seq` counts from 1 and an entry keeps its number. Raises `Invalid` for a cursor that is not of this list.
    """
    scope = CursorScope(tenant_id, "events", {"job": str(job_id)})
    with tenant_tx(tenant_id):
        job = read_job(tenant_id, job_id)
        if job is None:
            return None
        seen = 0 if cursor is None else int.from_bytes(scope.read(cursor))
        page = _read_page(tenant_id, job, seen=seen, limit=limit + 1)
        data = _show_page(tenant_id, job, page[:limit])
    return Page(data, scope.show((seen + limit).to_bytes(16)) if len(page) > limit else None)


def list_latest_events(tenant_id: UUID, job_id: UUID, *, limit: int) -> list[dict[str, Any]] | None:
    """The last entries of a job's timeline, as `list_events` shows them; None when the tenant has no such job."""
    with tenant_tx(tenant_id):
        job = read_job(tenant_id, job_id)
        return None if job is None else _show_page(tenant_id, job, _read_page(tenant_id, job, seen=None, limit=limit))


def _read_page(tenant_id: UUID, job: Any, *, seen: int | None, limit: int) -> list[Any]:
    wanted = {"tenant": tenant_id, "job": job.id, "accepted_at": job.created_at, "seen": seen, "limit": limit}
    return run_statement(_SQL / "list_timeline.sql", wanted)


def _show_page(tenant_id: UUID, job: Any, page: Sequence[Any]) -> list[dict[str, Any]]:
    entries = _read_entries(tenant_id, job, page)
    return [_show_entry(entries[row.kind, row.id], row.seq) for row in page if (row.kind, row.id) in entries]


def _sealed_in(attempt: Attempt) -> tuple[UUID | None, ...]:
    return attempt.error_id, attempt.progress_id, attempt.log_id


def _show_attempt(attempt: Attempt, blobs: Mapping[UUID, Blob]) -> dict[str, Any]:
    tenant_id, epoch = attempt.tenant_id, attempt.epoch
    message = open_error(tenant_id, attempt.error_id, epoch=epoch, blobs=blobs)
    progress = open_report(tenant_id, attempt.progress_id, kind=PROGRESS, epoch=epoch, blobs=blobs)
    return {
        "id": ids.show_id(ids.ATTEMPT, attempt.id),
        "number": attempt.number,
        "epoch": attempt.epoch,
        "worker": None if attempt.worker_id is None else ids.show_id(WORKER, attempt.worker_id),
        "started_at": show_time(attempt.started_at),
        "finished_at": show_time(attempt.finished_at),
        "outcome": attempt.outcome,
        "error": None if attempt.error_code is None else {"code": attempt.error_code, "message": message},
        "progress": show_progress(attempt.progress_percent, progress),
        "log": open_report(tenant_id, attempt.log_id, kind=LOG, epoch=epoch, blobs=blobs),
    }


def _show_entry(entry: _Entry, seq: int) -> dict[str, Any]:
    return {
        "id": ids.show_id(ids.EVENT, entry.id),
        "seq": seq,
        "type": entry.type,
        "at": show_time(entry.at),
        "data": entry.data,
    }


def _read_entries(tenant_id: UUID, job: Any, page: Sequence[Any]) -> dict[tuple[str, UUID], _Entry]:
    """The entries that the page names, by kind and id, as far as they are there still."""
    named = {kind: [row.id for row in page if row.kind == kind] for kind in ("attempt", "event", "delivery")}
    attempts = Attempt.objects.filter(tenant_id=tenant_id, id__in=named["attempt"])
    events = Event.objects.filter(tenant_id=tenant_id, id__in=named["event"])
    deliveries = DeliveryAttempt.objects.filter(tenant_id=tenant_id, id__in=named["delivery"])
    return {
        ("job", job.id): _accepted(job),
        **{("attempt", row.id): _attempted(row) for row in attempts},
        **{("event", row.id): _happened(row) for row in events},
        **{("delivery", row.id): _delivery_attempted(row) for row in deliveries},
    }


def _happened(row: Event) -> _Entry:
    return _Entry(row.at, row.id, row.type, {"job": row.job, **(row.details or {})})


def _accepted(job: Any) -> _Entry:
    data = {"queue": job.queue, "priority": job.priority, "run_at": show_time(job.run_at)}
    return _Entry(job.created_at, job.id, "job.accepted", data)


def _attempted(row: Attempt) -> _Entry:
    data = {
        "attempt_id": ids.show_id(ids.ATTEMPT, row.id),
        "number": row.number,
        "outcome": row.outcome,
        "started_at": show_time(row.started_at),
        "error_code": row.error_code,
    }
    return _Entry(row.finished_at, row.id, "attempt.ended", data)


def _delivery_attempted(row: DeliveryAttempt) -> _Entry:
    data = {
        "delivery_id": ids.show_id(ids.DELIVERY, row.delivery_id),
        "event_id": ids.show_id(ids.EVENT, row.event_id),
        "number": row.number,
        "status": row.status,
        "duration_ms": row.duration_ms,
        "error": row.error_class,
        "next_attempt_at": show_time(row.next_attempt_at),
    }
    return _Entry(row.at, row.id, "delivery.attempted", data)
