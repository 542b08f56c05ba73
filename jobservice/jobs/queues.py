"""Queues: their settings, by one verb that every change goes through, and the reads of one and of many.

What a queue's settings may be is in `queue_settings.py`, what is in a queue now in `queue_counts.py`, and how many a
tenant may have in `new_queues.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from jobservice.cursors import CursorScope
from jobservice.errors import Fault, Invalid, NotFound
from jobservice.field_checks import NAME
from jobservice.ids import new_id
from jobservice.jobs.limits import apply_queue_change, change_rate, hold_claims
from jobservice.jobs.models import Queue
from jobservice.jobs.new_queues import find_refused, hold_new_queues
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.queue_counts import QueueCounts, count_queues
from jobservice.jobs.queue_settings import Settings
from jobservice.logs import log_event
from jobservice.preconditions import Precondition, check_precondition
from tenants.acting import current_actor
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.quotas import DEFAULTS as DEFAULT_QUOTAS


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when a queue is paused, by whom (as the audit log names who acts; None: before that was kept), and why."""

    at: datetime
    by_type: str | None = None
    by_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue's settings by name, and what is in it. No two versions of any queues share a `revision`."""

    name: str
    revision: str
    settings: Settings
    created_at: datetime
    now: QueueCounts
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Part of the list of queues. `next_cursor` is None at the end."""

    data: list[QueueView]
    next_cursor: str | None


def change_queue(
    tenant_id: UUID,
    name: str,
    changes: Settings,
    *,
    may_make: bool = False,
    precondition: Precondition | None = None,
    max_queues: int | None = DEFAULT_QUOTAS["queues"],
    reason: str | None = None,
) -> tuple[QueueView, bool]:
    """Give the queue these settings, and with `may_make` make it when there is none; whether it is new.

    1. Lock the queue, or all that make queues of the tenant: what is judged is what is changed.
    2. Judge the precondition (of the stored revision; None: there is no queue) and the quota (None: no limit).
    3. Write what differs, as a new version, between two claims, and let it hold at once. Changes that change nothing
       leave the version.

    `reason` is why, when the change pauses the queue; it is kept beside the queue, as long as the pause, and not in
    the audit log, which never forgets. Of a queue that is paused already the first pause stays, with its reason and
    who it was; `pause` of the answer tells both. Raises `Invalid` for a name that no queue can have, `NotFound`,
    `PreconditionFailed` and `QuotaExceeded`.
    """
    if not NAME.fullmatch(name):
        raise _bad_name() if may_make else unknown_queue()
    with tenant_tx(tenant_id):
        row = _lock_queue(tenant_id, name)
        if row is None and may_make:
            hold_new_queues(tenant_id)
            # Whom this waited for may have made it.
            row = _lock_queue(tenant_id, name)
        if row is None and not may_make:
            raise unknown_queue()
        check_precondition(precondition, None if row is None else _revision(row), what="queue")
        is_new = row is None
        if row is None:
            for refusal in find_refused(tenant_id, [name], max_queues=max_queues, pointer=None).values():
                raise refusal
            row = Queue(id=new_id(), tenant_id=tenant_id, name=name, version=0)
        before = _settings_of(row)
        has_changed = is_new or before != {**before, **changes}
        if has_changed:
            hold_claims(tenant_id)
            _write(row, changes, is_new=is_new, reason=reason)
            if row.rate != before["rate"]:
                change_rate(tenant_id, name, old=before["rate"], new=row.rate)
            apply_queue_change(tenant_id, name)
            transaction.on_commit(wake_dispatcher)
            note_act(tenant_id, *_act(name, is_new), before=None if is_new else before, after=_settings_of(row))
    outcome = "created" if is_new else "changed" if has_changed else "unchanged"
    log_event("queue_changed", tenant_id=tenant_id, outcome=outcome)
    return _views(tenant_id, [row])[0], is_new


def find_queue(tenant_id: UUID, name: str, *, most_counted: int | None = None) -> QueueView | None:
    """The queue of this name; None when the tenant has none. `most_counted` as of `list_queues`."""
    if not NAME.fullmatch(name):
        return None
    with tenant_tx(tenant_id):
        rows = list(Queue.objects.filter(tenant_id=tenant_id, name=name))
        return _views(tenant_id, rows, most=most_counted)[0] if rows else None


def list_queues(
    tenant_id: UUID,
    *,
    limit: int,
    cursor: str | None = None,
    names: Collection[str] | None = None,
    most_counted: int | None = None,
) -> QueuePage:
    """A page of the tenant's queues, the newest first; of `names` only, unless it is None.

    With `most_counted` the jobs of each state are counted that far only (`count_queues`).

    Raises `Invalid` for a cursor that is not of this list.
    """
    scope = CursorScope(tenant_id, "queues", {"names": None if names is None else sorted(names)})
    queues = Queue.objects.filter(tenant_id=tenant_id).order_by("-id")
    if names is not None:
        queues = queues.filter(name__in=names)
    if cursor is not None:
        queues = queues.filter(id__lt=UUID(bytes=scope.read(cursor)))
    with tenant_tx(tenant_id):
        found = list(queues[: limit + 1])
        views = _views(tenant_id, found[:limit], most=most_counted)
    return QueuePage(views, scope.show(found[limit - 1].id.bytes) if len(found) > limit else None)


def unknown_queue() -> NotFound:
    """The same for a name of nothing, another tenant's, and one out of the key's reach."""
    return NotFound("There is no queue of this name.")


def _bad_name() -> Invalid:
    return Invalid([Fault("/queue", "bad-format", "A name is a-z or 0-9, then at most 99 of a-z, 0-9, . _ and -.")])


def _lock_queue(tenant_id: UUID, name: str) -> Queue | None:
    return Queue.objects.select_for_update().filter(tenant_id=tenant_id, name=name).first()


def _act(name: str, is_new: bool) -> tuple[str, str]:
    return ("queue.created" if is_new else "queue.updated"), name


def _write(row: Queue, changes: Settings, *, is_new: bool, reason: str | None) -> None:
    row.concurrency = changes.get("concurrency", row.concurrency)
    row.key_concurrency = changes.get("key_concurrency", row.key_concurrency)
    row.rate = changes.get("rate", row.rate)
    row.retention_days = changes.get("retention_days", row.retention_days)
    if changes.get("paused", row.paused_at is not None) != (row.paused_at is not None):
        row.paused_at = Now() if changes["paused"] else None  # the database's clock, read back below
        actor = current_actor() if changes["paused"] else None
        row.paused_by_type, row.paused_by_id = (actor.type, actor.id) if actor else (None, None)
        row.paused_reason = reason if actor else None
    row.version += 1
    row.save(force_insert=is_new, force_update=not is_new)
    row.refresh_from_db()


def _settings_of(row: Queue) -> Settings:
    return {
        "concurrency": row.concurrency,
        "key_concurrency": row.key_concurrency,
        "rate": row.rate,
        "paused": row.paused_at is not None,
        "retention_days": row.retention_days,
    }


def _revision(row: Queue) -> str:
    return f"{row.id} {row.version}"


def _pause_of(row: Queue) -> Pause | None:
    if row.paused_at is None:
        return None
    return Pause(row.paused_at, row.paused_by_type, row.paused_by_id, row.paused_reason)


def _views(tenant_id: UUID, rows: list[Queue], *, most: int | None = None) -> list[QueueView]:
    with tenant_tx(tenant_id):
        counts = count_queues(tenant_id, [row.name for row in rows], most=most)
    return [
        QueueView(row.name, _revision(row), _settings_of(row), row.created_at, counts[row.name], _pause_of(row))
        for row in rows
    ]
