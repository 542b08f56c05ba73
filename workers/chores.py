"""What the dispatcher does besides dispatching, every so often: rescue, held jobs, pruning, partitions, gauges, plans,
and the health checks when an operator asks for them.

A chore that fails waits for its next time and holds up neither the others nor the dispatching.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import Error, connection, transaction

from jobservice.crash_points import crash_point
from jobservice.jobs.bulk_actions import PRUNE_LIMIT as ACTIONS_PRUNE_LIMIT
from jobservice.jobs.bulk_actions import prune_bulk_actions
from jobservice.jobs.expiry import EXPIRE_LIMIT, expire_jobs
from jobservice.jobs.fleet import forget_silent_workers
from jobservice.jobs.idempotency import PRUNE_LIMIT, prune_idempotency_keys
from jobservice.jobs.lanes import deactivate_idle_lanes, deactivate_idle_shares
from jobservice.jobs.limits import Sweep
from jobservice.jobs.quota_warnings import QuotaWatch
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.statistics import FOLD_SECONDS, fold_statistics, prune_statistics
from jobservice.jobs.throttles import forget_throttles, let_go_throttled
from jobservice.jobs.type_switch import RESUME_LIMIT, resume_held_jobs
from jobservice.jobs.unique_claims import PRUNE_LIMIT as CLAIMS_PRUNE_LIMIT
from jobservice.jobs.unique_claims import prune_unique_claims
from jobservice.logs import log_event
from jobservice.webhooks.deliveries import RELEASE_LIMIT, reap_deliveries, release_held_deliveries
from workers.backlog_gauges import EVERY_SECONDS, show_backlog
from workers.examinations import Examination

# After a failure a chore rests at least so many times as long as it took to fail.
RESTS = 3


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
        # First, for the others write rows. After weeks without a dispatcher theirs would lie in the default partitions,
        # and while a week has rows there, no partition is made for it or any later one.
        Chore("make_partitions", 3600.0, _make_partitions),
        Chore("reap", 1.0, _reap),
        Chore("expire", 1.0, _expire),
        Chore("resume_held", 1.0, _resume_held),
        Chore("reopen", 1.0, _make_reopen()),
        Chore("release_held_deliveries", 1.0, _release_held_deliveries),
        Chore("warn_quotas", 1.0, _make_warn_quotas()),
        Chore("let_go_throttled", 1.0, _let_go_throttled),
        Chore("put_lanes_to_sleep", 5.0, _put_lanes_to_sleep),
        Chore("fold_statistics", FOLD_SECONDS, fold_statistics),
        Chore("show_backlog", EVERY_SECONDS, show_backlog),
        Chore("refresh_statistics", 1.0, _refresh_statistics),
        Chore("forget_workers", 3600.0, _forget_workers),
        Chore("prune", 60.0, _prune),
        Chore("examine", 1.0, Examination().act),
    ]


def do_due_chores(chores: Iterable[Chore]) -> None:
    """Do those whose time has come."""
    for chore in chores:
        began = time.monotonic()
        if began < chore.due_at:
            continue
        # Before the act: what fails must not be tried again at once, in place of everything else.
        chore.due_at = began + chore.every_seconds
        try:
            if chore.act():
                chore.due_at = 0.0
            crash_point("chores.acted")
        except Error as error:
            log_event("chore_failed", level="warning", kind=chore.name, error_class=type(error).__name__)
            connection.close_if_unusable_or_obsolete()
            # Nor when the server needed longer to give up than it rests: then nothing else would be done in between.
            chore.due_at = max(chore.due_at, time.monotonic() + RESTS * (time.monotonic() - began))


def _reap() -> None:
    reaped = reap_leases()
    deliveries = reap_deliveries()
    lost = reaped.crashed + reaped.timed_out
    if reaped.returned or lost or deliveries:
        log_event("leases_reaped", count=reaped.returned + deliveries, lost=lost, kept=reaped.suspended)


def _expire() -> bool:
    return expire_jobs() == EXPIRE_LIMIT


def _resume_held() -> bool:
    return resume_held_jobs() == RESUME_LIMIT


def _make_reopen() -> Callable[[], None]:
    sweep = Sweep()

    def reopen() -> None:
        if opened := sweep.reopen():
            log_event("reopened", level="debug", count=opened)

    return reopen


def _make_warn_quotas() -> Callable[[], None]:
    watch = QuotaWatch()

    def warn() -> None:
        watch.look()

    return warn


def _let_go_throttled() -> None:
    let_go_throttled()


def _put_lanes_to_sleep() -> None:
    with transaction.atomic():
        deactivate_idle_lanes()
    with transaction.atomic():
        deactivate_idle_shares()


def _release_held_deliveries() -> bool:
    return release_held_deliveries() == RELEASE_LIMIT


def _make_partitions() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT make_partitions()")


def _refresh_statistics() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT refresh_statistics()")
        ((table,),) = cursor.fetchall()
    if table is not None:
        log_event("statistics_refreshed", level="debug", kind=table)


def _prune() -> bool:
    """One batch of each, for a round of dispatching must not wait for more."""
    forget_throttles()
    has_more = prune_idempotency_keys() == PRUNE_LIMIT
    has_more = prune_statistics() or has_more
    has_more = prune_bulk_actions() == ACTIONS_PRUNE_LIMIT or has_more
    return prune_unique_claims() == CLAIMS_PRUNE_LIMIT or has_more


def _forget_workers() -> None:
    forget_silent_workers()
