"""What the dispatcher does besides dispatching, every so often: rescue, pruning, partitions, the backlog's gauges.

A chore that fails waits for its next time and holds up neither the others nor the dispatching.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import Error, connection, transaction

from jobservice.jobs.claims import reap_leases
from jobservice.jobs.fleet import forget_silent_workers
from jobservice.jobs.idempotency import PRUNE_LIMIT, prune_idempotency_keys
from jobservice.jobs.lanes import deactivate_idle_lanes
from jobservice.logs import log_event
from jobservice.webhooks.deliveries import reap_deliveries
from workers.backlog_gauges import EVERY_SECONDS, show_backlog


@dataclass(slots=True)
class Chore:
    """Something to do every so often; a fresh dispatcher does each at once. `act` says whether there is more to do."""

    name: str
    every_seconds: float
    act: Callable[[], bool | None]
    due_at: float = 0.0


def all_chores() -> list[Chore]:
    """Those of one dispatcher; several dispatchers do them side by side, which hurts nothing."""
    return [
        Chore("reap", 1.0, _reap),
        Chore("put_lanes_to_sleep", 5.0, _put_lanes_to_sleep),
        Chore("show_backlog", EVERY_SECONDS, show_backlog),
        Chore("make_partitions", 3600.0, _make_partitions),
        Chore("forget_workers", 3600.0, _forget_workers),
        Chore("prune", 60.0, _prune),
    ]


def do_due_chores(chores: Iterable[Chore]) -> None:
    """Do those whose time has come."""
    for chore in chores:
        if time.monotonic() < chore.due_at:
            continue
        # Before the act: what fails must not be tried again at once, in place of everything else.
        chore.due_at = time.monotonic() + chore.every_seconds
        try:
            if chore.act():
                chore.due_at = 0.0
        except Error as error:
            log_event("chore_failed", level="warning", kind=chore.name, error_class=type(error).__name__)
            connection.close_if_unusable_or_obsolete()


def _reap() -> None:
    reaped = reap_leases()
    deliveries = reap_deliveries()
    if reaped.returned or reaped.crashed or deliveries:
        log_event("leases_reaped", count=reaped.returned + deliveries, lost=reaped.crashed, kept=reaped.suspended)


def _put_lanes_to_sleep() -> None:
    with transaction.atomic():
        deactivate_idle_lanes()


def _make_partitions() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT make_partitions()")


def _prune() -> bool:
    """One batch, for a round of dispatching must not wait for more."""
    return prune_idempotency_keys() == PRUNE_LIMIT


def _forget_workers() -> None:
    forget_silent_workers()
