"""The dispatcher: decides, fairly, which due job runs next, and hands it to Celery. Run one or five, all safe together.

Each round surveys the pools, stages what became due, claims for each pool what its workers have credits for, and
publishes.
It wakes on NOTIFY and each second. It holds no payload and no key that opens one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import psycopg
from django.conf import settings
from django.db import Error, connection

from jobservice.celery import EGRESS, HANDLERS
from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.database import connect_alone
from jobservice.jobs.claims import claim_jobs, return_claims, stage_due_jobs
from jobservice.jobs.fleet import Capacity, survey
from jobservice.jobs.limits import open_rated_lanes
from jobservice.jobs.notifier import CHANNEL
from jobservice.logs import log_event
from jobservice.webhooks.deliveries import return_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries, stage_due_deliveries
from workers.chores import all_chores, do_due_chores
from workers.grouping import EGRESS_GROUP_LIMIT, group_for_egress, group_for_handlers
from workers.publisher import RUN_JOBS, SEND_DELIVERIES, Publisher
from workers.stop_flag import StopFlag

DELIVERIES = "deliveries"
POLL_SECONDS = 1.0
CLAIM_LIMIT = 500
# Claimed and not started yet, for each egress worker: a large message, or two.
DELIVERIES_AHEAD = EGRESS_GROUP_LIMIT
MOMENT_SECONDS = 2.0
RECOVER_SECONDS = 1.0
# Rounds that hand out work begin no closer together, so that what comes in meanwhile travels together.
GATHER_SECONDS = 0.008
# What the end of some deliveries leaves room for may be claimed together, for so long: a claim and its message cost as
# much as twenty deliveries.
GATHER_DELIVERIES_SECONDS = 0.1
GATHER_FROM = EGRESS_GROUP_LIMIT // 4


class Dispatcher:
    """One dispatcher process. `run` returns when `stop` was called and unpublished claims were given back."""

    def __init__(
        self, publisher: Publisher, *, stop_flag: StopFlag | None = None, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        """`on_ready` is called after each whole round: the first one shows that we can work."""
        self._publisher = publisher
        self._on_ready = on_ready
        self._stop = stop_flag or StopFlag()
        self._lease_seconds: float = settings.ENVIRONMENT.lease_seconds
        self._listener: psycopg.Connection | None = None
        self._sleep_until = 0.0
        self._claimed: deque[tuple[float, int]] = deque()
        self._gather_until = 0.0
        self._is_broker_away = False
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
                self._on_ready()
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
        crash_point("dispatch.surveyed")
        if found.has_due_jobs:
            stage_due_jobs()
        if found.has_due_deliveries:
            stage_due_deliveries()
        if found.has_due_tokens:
            open_rated_lanes()
        self._sleep_until = begun_at + found.rest_seconds(most=POLL_SECONDS)
        return (
            self._dispatch_handlers(found.capacities[HANDLERS])
            + self._dispatch_egress(found.capacities[EGRESS])
            + self._dispatch_deliveries(found.capacities[DELIVERIES])
        )

    def _dispatch_handlers(self, capacity: Capacity) -> int:
        claims = claim_jobs(HANDLERS, limit=self._most(capacity), lease_seconds=self._lease_seconds)
        groups = group_for_handlers(
            claims, slots=capacity.slots, jobs_per_slot=capacity.jobs_per_slot, run_times=capacity.run_times
        )
        return self._publish(RUN_JOBS, groups, queue=HANDLERS, give_back=return_claims)

    def _dispatch_egress(self, capacity: Capacity) -> int:
        claims = claim_jobs(EGRESS, limit=self._most(capacity), lease_seconds=self._lease_seconds)
        groups = group_for_egress([claim.ref for claim in claims])
        return self._publish(RUN_JOBS, groups, queue=EGRESS, give_back=return_claims)

    def _dispatch_deliveries(self, capacity: Capacity) -> int:
        # What is claimed waits its turn at the worker behind all that was claimed before, whoever's it is: so never
        # more than a worker starts in a moment, however many slots are free.
        ahead = DELIVERIES_AHEAD * capacity.workers - min(capacity.dispatched, self._just_claimed())
        limit = min(self._most(capacity), ahead)
        refs = []
        if limit > 0 and not self._gathers_deliveries(capacity):
            refs = claim_deliveries(limit, lease_seconds=self._lease_seconds, slots=capacity.slots)
            self._note_claimed(len(refs))
        return self._publish(SEND_DELIVERIES, group_for_egress(refs), queue=EGRESS, give_back=return_deliveries)

    def _most(self, capacity: Capacity) -> int:
        """How many to claim at the most: while the broker is away one, to see whether it is back.

        What is claimed in vain has used up turns, and tokens of a rate.
        """
        return min(capacity.credits, 1 if self._is_broker_away else CLAIM_LIMIT)

    def _gathers_deliveries(self, capacity: Capacity) -> bool:
        """Whether the next claim waits a little: there was a large one just now, and half of the slots have work."""
        is_early = time.monotonic() < self._gather_until
        if not is_early or capacity.dispatched + capacity.busy_slots <= capacity.slots // 2:
            return False
        self._sleep_until = min(self._sleep_until, self._gather_until)
        return True

    def _note_claimed(self, deliveries: int) -> None:
        now = time.monotonic()
        self._claimed.append((now, deliveries))
        # Only while there is a backlog: one that has just come in does not wait for others.
        self._gather_until = now + GATHER_DELIVERIES_SECONDS if deliveries >= GATHER_FROM else 0.0

    def _just_claimed(self) -> int:
        """Deliveries claimed a moment ago. What was claimed before that and is not started was lost on its way, and is
        nobody's turn to wait for: its lease returns it."""
        while self._claimed and self._claimed[0][0] < time.monotonic() - MOMENT_SECONDS:
            self._claimed.popleft()
        return sum(count for _, count in self._claimed)

    def _publish(
        self,
        task: str,
        groups: list[list[Ref]],
        *,
        queue: str,
        give_back: Callable[[list[Ref]], int],
    ) -> int:
        """Publish each group, until we are stopped or one fails; the number handed out.

        What failed is unknown, and its lease returns it. What was not sent at all is given back: with the broker in
        trouble each try takes seconds, in which nothing else is done here, neither rescue nor expiry.
        """
        left, is_sent = deque(groups), True
        while left and is_sent and not self._stop.is_set():
            is_sent = self._publisher.publish(task, left.popleft(), queue=queue)
            self._is_broker_away = not is_sent
        unsent = [ref for group in left for ref in group]
        give_back(unsent)
        if not is_sent:
            # Claim no more for a moment.
            self._stop.wait(RECOVER_SECONDS)
        return sum(map(len, groups)) - len(unsent)

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
