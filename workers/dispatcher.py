"""The dispatcher: decides, fairly, which due job runs next, and hands it to Celery. Run one or five, all safe together.

Each round surveys the pools, stages what became due, claims for each pool what its workers have credits for, and
publishes.
It wakes on NOTIFY and each second. It holds no payload and no key that opens one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
from django.conf import settings
from django.db import Error, connection

from jobservice.celery import EGRESS, HANDLERS
from jobservice.crypto.message_mac import Ref
from jobservice.database import connect_alone
from jobservice.jobs.claims import claim_jobs, return_claims, stage_due_jobs
from jobservice.jobs.fleet import Capacity, survey
from jobservice.jobs.notifier import CHANNEL
from jobservice.logs import log_event
from jobservice.webhooks.deliveries import claim_deliveries
from workers.chores import all_chores, do_due_chores
from workers.grouping import group_for_egress, group_for_handlers
from workers.publisher import RUN_JOBS, SEND_DELIVERIES, Publisher

DELIVERIES = "deliveries"
POLL_SECONDS = 1.0
CLAIM_LIMIT = 500
RECOVER_SECONDS = 1.0
# Rounds that hand out work begin no closer together, so that what comes in meanwhile travels together.
GATHER_SECONDS = 0.008


class Dispatcher:
    """One dispatcher process. `run` returns when `stop` was called and unpublished claims were given back."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._stop = threading.Event()
        self._lease_seconds: float = settings.ENVIRONMENT.lease_seconds
        self._listener: psycopg.Connection | None = None
        self._sleep_until = 0.0
        self._chores = all_chores()

    def stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Dispatch until stopped. A database or broker that is away is waited for."""
        log_event("dispatcher_started")
        while not self._stop.is_set():
            try:
                do_due_chores(self._chores)
                begun_at = time.monotonic()
                dispatched = self.dispatch_once()
                self._wait_for_work()
                if dispatched:
                    self._stop.wait(max(0.0, begun_at + GATHER_SECONDS - time.monotonic()))
            except (Error, psycopg.Error) as error:
                log_event("dispatcher_recovers", level="warning", error_class=type(error).__name__)
                self._forget_connections()
                self._stop.wait(RECOVER_SECONDS)
        self._forget_connections()
        log_event("dispatcher_stopped")

    def dispatch_once(self) -> int:
        """One round over all pools; the number of jobs and deliveries handed out."""
        begun_at = time.monotonic()
        found = survey()
        if found.has_due_jobs:
            stage_due_jobs()
        self._sleep_until = begun_at + found.rest_seconds(most=POLL_SECONDS)
        return (
            self._dispatch_handlers(found.capacities[HANDLERS])
            + self._dispatch_egress(found.capacities[EGRESS])
            + self._dispatch_deliveries(found.capacities[DELIVERIES])
        )

    def _dispatch_handlers(self, capacity: Capacity) -> int:
        claims = claim_jobs(HANDLERS, limit=min(capacity.credits, CLAIM_LIMIT), lease_seconds=self._lease_seconds)
        groups = group_for_handlers(
            claims, slots=capacity.slots, jobs_per_slot=capacity.jobs_per_slot, run_times=capacity.run_times
        )
        return self._publish(RUN_JOBS, groups, queue=HANDLERS, give_back=return_claims)

    def _dispatch_egress(self, capacity: Capacity) -> int:
        claims = claim_jobs(EGRESS, limit=min(capacity.credits, CLAIM_LIMIT), lease_seconds=self._lease_seconds)
        groups = group_for_egress([claim.ref for claim in claims])
        return self._publish(RUN_JOBS, groups, queue=EGRESS, give_back=return_claims)

    def _dispatch_deliveries(self, capacity: Capacity) -> int:
        limit = min(capacity.credits, CLAIM_LIMIT)
        refs = claim_deliveries(limit, lease_seconds=self._lease_seconds) if limit > 0 else []
        return self._publish(SEND_DELIVERIES, group_for_egress(refs), queue=EGRESS, give_back=None)

    def _publish(
        self,
        task: str,
        groups: list[list[Ref]],
        *,
        queue: str,
        give_back: Callable[[list[Ref]], int] | None,
    ) -> int:
        """Publish each group. What was not sent at all when we are stopped is given back; what failed is unknown."""
        for sent, group in enumerate(groups):
            if self._stop.is_set() and give_back is not None:
                give_back([ref for rest in groups[sent:] for ref in rest])
                return sum(len(group) for group in groups[:sent])
            if not self._publisher.publish(task, group, queue=queue):
                # The broker is in trouble: the lease returns these. Claim no more for a moment.
                self._stop.wait(RECOVER_SECONDS)
        return sum(len(group) for group in groups)

    def _wait_for_work(self) -> None:
        """Until a NOTIFY, the next due time, or the poll."""
        if self._listener is None or self._listener.closed:
            self._listener = connect_alone()
            self._listener.execute(f"LISTEN {CHANNEL}")
            return  # something may have been notified before we listened: look once more
        timeout = max(0.0, self._sleep_until - time.monotonic())
        for _ in self._listener.notifies(timeout=timeout, stop_after=1):
            break

    def _forget_connections(self) -> None:
        connection.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
