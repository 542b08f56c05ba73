"""Bulk actions as rows: made, found, listed, aborted, pruned. Who acts for them is `bulk_turns.py`, and what each kind
selects and does is in `bulk_kinds.py`.

A bulk action cancels, retries or erases the jobs that a filter matches, or sends deliveries to an endpoint again: at
most `max` of those that there are when it is made, in the order of their ids. A small one is leased to the request that
makes it, so that nobody else begins it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from jobservice.cursors import CursorScope
from jobservice.errors import Conflict, NotFound
from jobservice.ids import BULK_ACTION, ENDPOINT, new_id, show_id
from jobservice.jobs.bulk_action_request import ACTIONS, MAX_JOBS, BulkActionRequest
from jobservice.jobs.bulk_kinds import REPLAY, ActionOnJobs, BulkKind, Replay
from jobservice.jobs.lanes import erased_is_a_conflict
from jobservice.jobs.models import BulkAction
from jobservice.jobs.representation import show_time
from jobservice.jobs.selectors import Page
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.endpoints import has_endpoint, unknown_endpoint
from jobservice.webhooks.replay_filters import ReplayFilters
from tenants.audit import note_act
from tenants.context import tenant_tx

RUNNING, COMPLETED, ABORTED, FAILED = "running", "completed", "aborted", "failed"
STATUSES = (RUNNING, COMPLETED, ABORTED, FAILED)
ALL_ACTIONS = (*ACTIONS, REPLAY)
# So many jobs, or deliveries, are acted on before the request is answered.
SMALL_JOBS = 100
MAX_RUNNING = 10
LEASE_SECONDS = 30
KEEP_SECONDS = 30 * 86_400
PRUNE_LIMIT = 1000
STALLED = {"code": "stalled", "message": "It came no step forward in several runs; what is done stays done."}
_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act for one bulk action, as long as its row names the holder."""

    tenant_id: UUID
    action_id: UUID
    holder: UUID


def make_bulk_action(tenant_id: UUID, request: BulkActionRequest, *, queues: Collection[str] | None) -> Lease | UUID:
    """Store a bulk action over the jobs that there are now; its id, or a lease of it when it is small.

    `queues` are those that the asking key is limited to, None for all. Raises `Conflict` when too many run already.
    """
    filters = replace(request.filters, queues=None if queues is None else tuple(sorted(queues)))
    return _make(tenant_id, ActionOnJobs(tenant_id, request.action, filters), limit=request.max_jobs)


def make_replay(tenant_id: UUID, endpoint_id: UUID, filters: ReplayFilters) -> Lease | UUID:
    """Store a replay of the deliveries to the endpoint that there are now; as `make_bulk_action`.

    Raises `NotFound` besides, for an endpoint that the tenant does not have.
    """
    with tenant_tx(tenant_id):
        if not has_endpoint(tenant_id, endpoint_id):
            raise unknown_endpoint()
        return _make(tenant_id, Replay(tenant_id, endpoint_id, filters), limit=MAX_JOBS)


def find_bulk_action(
    tenant_id: UUID,
    action_id: UUID,
    *,
    queues: Collection[str] | None = None,
    actions: Collection[str] = ALL_ACTIONS,
) -> dict[str, Any] | None:
    """The action as the API shows it; None when the tenant has none of this id, or none that does one of `actions` and
    that a key of these queues may see."""
    with tenant_tx(tenant_id):
        action = _seen(tenant_id, queues, actions).filter(id=action_id).first()
    return None if action is None else show_bulk_action(action)


def list_bulk_actions(
    tenant_id: UUID,
    *,
    queues: Collection[str] | None,
    limit: int,
    cursor: str | None = None,
    actions: Collection[str] = ALL_ACTIONS,
) -> Page:
    """A page of those that do one of `actions` and that a key of these queues may see, the newest first.

    Raises `Invalid` for a bad cursor.
    """
    scope = CursorScope(tenant_id, "bulk-actions", {"queues": None if queues is None else sorted(queues)})
    seen = _seen(tenant_id, queues, actions).order_by("-id")
    if cursor is not None:
        seen = seen.filter(id__lt=UUID(bytes=scope.read(cursor)))
    with tenant_tx(tenant_id):
        found = list(seen[: limit + 1])
    next_cursor = scope.show(found[limit - 1].id.bytes) if len(found) > limit else None
    return Page([show_bulk_action(action) for action in found[:limit]], next_cursor)


def abort_bulk_action(tenant_id: UUID, action_id: UUID) -> dict[str, Any]:
    """Let nothing further be acted on, and answer the action as it is then. Asked again, it changes nothing.

    Raises `NotFound`, and `Conflict` when it has ended by itself.
    """
    with tenant_tx(tenant_id):
        # Who acts holds the row from the look at it until the step's commit: after this lock comes no further one.
        action = BulkAction.objects.select_for_update().filter(tenant_id=tenant_id, id=action_id).first()
        if action is None:
            raise unknown_bulk_action()
        if action.status == RUNNING:
            action = end_bulk_action(action, ABORTED)
            note_act(tenant_id, "bulk-action.aborted", show_id(BULK_ACTION, action.id))
        elif action.status != ABORTED:
            raise Conflict(f"The bulk action is {action.status}; only a running one can be aborted.")
        return show_bulk_action(action)


def end_bulk_action(action: BulkAction, status: str) -> BulkAction:
    """End a running action whose row the caller has locked. What a completed one did not do, it skipped."""
    skipped = F("matched") - F("done") if status == COMPLETED else F("skipped")
    BulkAction.objects.filter(tenant_id=action.tenant_id, id=action.id, status=RUNNING).update(
        status=status, skipped=skipped, finished_at=Now(), holder=None, leased_until=None
    )
    ended = BulkAction.objects.get(tenant_id=action.tenant_id, id=action.id)
    tell = partial(log_event, f"bulk_action_{status}", level="error" if status == FAILED else "info")
    counts = {"kind": ended.action, "count": ended.done, "skipped": ended.skipped}
    transaction.on_commit(partial(tell, tenant_id=ended.tenant_id, bulk_action_id=ended.id, **counts))
    return ended


def lease_end() -> Any:
    """When a lease that is given or renewed now is over, by the database's clock."""
    return Now() + timedelta(seconds=LEASE_SECONDS)


def prune_bulk_actions() -> int:
    """Remove a batch of actions that ended long ago. The number removed. Run by the dispatcher."""
    with transaction.atomic():
        return len(run_statement(_SQL / "prune_bulk_actions.sql", {"keep_seconds": KEEP_SECONDS, "limit": PRUNE_LIMIT}))


def show_bulk_action(action: BulkAction) -> dict[str, Any]:
    """The action as the API shows it."""
    return {
        "id": show_id(BULK_ACTION, action.id),
        "action": action.action,
        "endpoint_id": None if action.endpoint_id is None else show_id(ENDPOINT, action.endpoint_id),
        "filter": action.filter,
        "max": action.max_jobs,
        "status": action.status,
        "matched": action.matched,
        "done": action.done,
        "skipped": action.skipped,
        "error": STALLED if action.status == FAILED else None,
        "created_at": show_time(action.created_at),
        "finished_at": show_time(action.finished_at),
    }


def _show_act(action: BulkAction) -> dict[str, Any]:
    """The action as the audit log keeps it: of tags the names, for their values may be of persons."""
    shown = {name: value for name, value in show_bulk_action(action).items() if value is not None}
    tags = [tag.partition(":")[0] for tag in action.filter.get("tag", ())]
    return {**shown, "filter": {**action.filter, "tag": tags}} if tags else shown


def unknown_bulk_action() -> NotFound:
    """The same for an unknown id, another tenant's, and one out of the key's reach."""
    return NotFound("There is no bulk action of this id.")


def _make(tenant_id: UUID, kind: BulkKind, *, limit: int) -> Lease | UUID:
    columns = kind.columns()
    with tenant_tx(tenant_id):
        matched, last_id, now = kind.measure(limit=limit)
        _hold_room(tenant_id)
        holder = new_id() if matched <= SMALL_JOBS else None
        action = BulkAction(
            id=new_id(),
            tenant_id=tenant_id,
            **columns,
            max_jobs=limit,
            matched=matched,
            last_job_id=last_id,
            created_at=now,
            holder=holder,
            leased_until=None if holder is None else lease_end(),
        )
        with erased_is_a_conflict():
            action.save(force_insert=True)
        tell = partial(log_event, "bulk_action_made", tenant_id=tenant_id, bulk_action_id=action.id)
        transaction.on_commit(partial(tell, kind=action.action, count=matched))
        note_act(tenant_id, "bulk-action.created", show_id(BULK_ACTION, action.id), after=_show_act(action))
    return action.id if holder is None else Lease(tenant_id, action.id, holder)


def _hold_room(tenant_id: UUID) -> None:
    run_statement(_SQL / "lock_bulk_actions.sql", {"tenant": tenant_id})
    if BulkAction.objects.filter(tenant_id=tenant_id, status=RUNNING).count() >= MAX_RUNNING:
        raise Conflict(f"{MAX_RUNNING} bulk actions of the tenant are running; wait for one to end, or abort one.")


def _seen(tenant_id: UUID, queues: Collection[str] | None, actions: Collection[str]) -> QuerySet[BulkAction]:
    """A filter and its counts tell of jobs: a limited key sees the actions that reach no further than itself. A replay
    reaches all queues, as its endpoint does."""
    found = BulkAction.objects.filter(tenant_id=tenant_id, action__in=actions)
    return found if queues is None else found.filter(queues__contained_by=sorted(queues))
