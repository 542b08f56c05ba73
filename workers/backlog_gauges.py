"""Shows in the metrics what waits and who is there to take it: the dispatcher looks every few seconds."""

from __future__ import annotations

import time

from django.db import Error, InterfaceError, OperationalError

from jobservice.jobs.backlog import read_backlog
from jobservice.jobs.fleet import survey
from jobservice.logs import log_event
from jobservice.meters import set_gauge
from jobservice.metrics import (
    JOB_POOLS,
    OLDEST_DUE_SECONDS,
    READ_AT_SECONDS,
    SAMPLED_RATIO,
    UNFINISHED,
    UNFINISHED_STATES,
    WORKER_SLOTS,
    WORKER_SLOTS_FREE,
    WORKERS,
)
from jobservice.webhooks.backlog import read_delivery_backlog

EVERY_SECONDS = 5.0


def show_backlog() -> None:
    """Read once and set every gauge. Raises while the database is away; no other fault may hold up dispatching."""
    try:
        _show_jobs()
        _show_deliveries()
        _show_workers()
    except (OperationalError, InterfaceError):
        raise
    except Error as error:
        log_event("backlog_unread", level="warning", error_class=type(error).__name__)
        return
    set_gauge(READ_AT_SECONDS, time.time())


def _show_jobs() -> None:
    backlog = read_backlog()
    for pool in JOB_POOLS:
        for state in UNFINISHED_STATES[pool]:
            set_gauge(UNFINISHED, backlog.jobs.get((pool, state), 0), pool=pool, state=state)
        set_gauge(OLDEST_DUE_SECONDS, backlog.oldest_due_seconds.get(pool, 0.0), pool=pool)
    set_gauge(SAMPLED_RATIO, backlog.sampled_ratio)


def _show_deliveries() -> None:
    backlog = read_delivery_backlog()
    for state in UNFINISHED_STATES["deliveries"]:
        set_gauge(UNFINISHED, backlog.deliveries.get(state, 0), pool="deliveries", state=state)
    set_gauge(OLDEST_DUE_SECONDS, backlog.oldest_due_seconds, pool="deliveries")


def _show_workers() -> None:
    for pool, capacity in survey().capacities.items():
        set_gauge(WORKERS, capacity.workers, pool=pool)
        set_gauge(WORKER_SLOTS, capacity.slots, pool=pool)
        set_gauge(WORKER_SLOTS_FREE, max(0, capacity.slots - capacity.busy_slots), pool=pool)
