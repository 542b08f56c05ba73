"""Acting for a bulk action, by whoever holds its lease: the request that made it, or a web process's runner.

1. Lease: the running action that was served longest ago, for one turn of about a second, so that each gets its turn.
2. For each item (a job or a delivery), in one transaction: lock the action's row and see that the lease is still ours
   and the action runs; lock the item and see that it is still selected; act by the same verb as a single call; note the
   step, which renews the lease. Who dies in between has done nothing, and what is committed is noted: nothing is acted
   on twice.
3. Give the lease back, or end the action. The lease of a process that died is over after `LEASE_SECONDS`.
The action's row is locked before any item, and nobody locks it while holding one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import F

from jobservice.errors import JobserviceError, KeyProviderAway
from jobservice.ids import new_id
from jobservice.jobs.bulk_actions import COMPLETED, FAILED, LEASE_SECONDS, RUNNING, Lease, end_bulk_action, lease_end
from jobservice.jobs.bulk_kinds import BulkKind, read_kind
from jobservice.jobs.models import BulkAction
from jobservice.statements import run_statement
from tenants.acting import part_of_an_act
from tenants.context import tenant_tx
from tenants.data_keys import are_keys_at_hand

BATCH_JOBS = 50
TURN_SECONDS = 1.0
# So many leases in a row may end without a step forward before the action is given up.
MAX_STALLS = 5
_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class _Work:
    """The next items of an action, and what is done to them."""

    kind: BulkKind
    item_ids: list[UUID]


def serve_next_action(is_stopping: Callable[[], bool] = lambda: False) -> bool:
    """Take a turn of the action whose turn it is; False when nothing is to be done."""
    lease = lease_next_action()
    if lease is None:
        return False
    serve_turn(lease, is_stopping=is_stopping)
    return True


def lease_next_action() -> Lease | None:
    """A lease of the action whose turn it is, of whichever tenant; None when nothing is to be done."""
    holder = new_id()
    with transaction.atomic():
        rows = run_statement(_SQL / "lease_bulk_action.sql", {"holder": holder, "lease_seconds": LEASE_SECONDS})
    if not rows:
        return None
    (row,) = rows
    lease = Lease(row.tenant_id, row.id, holder)
    if row.stalls > MAX_STALLS:
        _end(lease, FAILED)
        return lease_next_action()
    return lease


def serve_turn(
    lease: Lease, *, max_seconds: float = TURN_SECONDS, is_stopping: Callable[[], bool] = lambda: False
) -> None:
    """Act on the next items until the time is up, none is left or the lease is lost; then give the lease back.

    The time is looked at between batches, so that a turn always comes forward. Not in a transaction. What is raised
    leaves the lease to end by itself.
    """
    deadline = time.monotonic() + max_seconds
    while not is_stopping():
        if not are_keys_at_hand(lease.tenant_id):
            # Without them nothing can be done to anything; the action waits, and that is no stall.
            break
        work = _find_work(lease)
        if work is None:
            return
        if not work.item_ids:
            _end(lease, COMPLETED)
            return
        for item_id in work.item_ids:
            if is_stopping():
                break
            if not _act(lease, work.kind, item_id):
                return
        if time.monotonic() >= deadline:
            break
    _give_back(lease)


def _find_work(lease: Lease) -> _Work | None:
    """None when the lease is lost, or the action has ended."""
    with tenant_tx(lease.tenant_id):
        action = _held(lease)
        if action is None:
            return None
        kind, left = read_kind(action), action.matched - action.done - action.skipped
        found = kind.find_ids(
            after=action.position, up_to=action.last_job_id, made_by=action.created_at, limit=min(left, BATCH_JOBS)
        )
        return _Work(kind, found)


def _act(lease: Lease, kind: BulkKind, item_id: UUID) -> bool:
    """Act on one item, or skip it; False when the lease is lost, or the action has ended."""
    with tenant_tx(lease.tenant_id):
        if _held(lease) is None:
            return False
        is_done = _try(kind, item_id)
        counted = {"done": F("done") + 1} if is_done else {"skipped": F("skipped") + 1}
        BulkAction.objects.filter(tenant_id=lease.tenant_id, id=lease.action_id).update(
            position=item_id, leased_until=lease_end(), stalls=0, **counted
        )
    return True


def _held(lease: Lease) -> BulkAction | None:
    """The action's row, locked: nobody aborts it, or acts for it, until the transaction ends. None: not ours."""
    actions = BulkAction.objects.select_for_update()
    return actions.filter(tenant_id=lease.tenant_id, id=lease.action_id, holder=lease.holder, status=RUNNING).first()


def _try(kind: BulkKind, item_id: UUID) -> bool:
    """Whether it was done. What the domain refuses leaves nothing behind: hence the savepoint."""
    try:
        with transaction.atomic(), part_of_an_act():
            return kind.act(item_id)
    except KeyProviderAway:
        # It says nothing of the item, whose turn comes again.
        raise
    except JobserviceError:
        return False


def _end(lease: Lease, status: str) -> None:
    with tenant_tx(lease.tenant_id):
        action = _held(lease)
        if action is not None:
            end_bulk_action(action, status)


def _give_back(lease: Lease) -> None:
    with tenant_tx(lease.tenant_id):
        BulkAction.objects.filter(tenant_id=lease.tenant_id, id=lease.action_id, holder=lease.holder).update(
            holder=None, leased_until=None, stalls=0
        )
