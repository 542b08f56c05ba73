"""Wires the handlers' Celery worker: what its parent allocates before the fork, what each child sets up after it, and
how it stops. Celery's signals are the joints; the signal handler of a stop only sets a flag.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from billiard import current_process
from celery import signals
from django.conf import settings
from django.db import connections

from jobservice.crypto.message_mac import Ref
from jobservice.env import ConfigurationError
from jobservice.errors import Unavailable
from jobservice.handlers.registry import handler_names
from jobservice.ready import Readiness
from workers.board import Board, Seat
from workers.executor import Executor
from workers.fork_gate import drop_inherited_connections
from workers.lease_keeper import LeaseKeeper
from workers.presence import Presence, PresenceReport
from workers.watchdog import GRACE_SECONDS, Watchdog, kill

POOL = "handlers"
MOST_JOBS_PER_SLOT = 50
SLOT_MS = 100
_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.02


class HandlerPool:
    """One per worker process; forked with it, so that each child has the parent's board."""

    def __init__(
        self,
        *,
        processes: int,
        lease_seconds: float,
        stop_grace_seconds: float,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_ready` is called whenever the worker has registered, which it does once Celery consumes."""
        self._processes = processes
        self._lease_seconds = lease_seconds
        self._on_ready = on_ready
        self._is_stop_asked = False
        self._seat: Seat | None = None
        self._executor: Executor | None = None
        self._is_watching = False
        self._consumer: Any = None
        self._board = Board(seats=processes, handlers=handler_names())
        self._keeper = LeaseKeeper(self._board, lease_seconds=lease_seconds)
        self._presence = Presence(POOL, self._report, on_registered=self._note_worker_id)
        self._watchdog = Watchdog(
            self._board,
            self._keeper,
            lease_seconds=lease_seconds,
            stop_grace_seconds=stop_grace_seconds,
            should_stop=lambda: self._is_stop_asked,
            on_stop=self._presence.drain,
            on_death=self._replace_dead,
        )

    def connect(self) -> None:
        """Hang everything on Celery's signals. They hold weak references otherwise, hence `weak=False`."""
        signals.worker_before_create_process.connect(self._before_fork, weak=False)
        signals.worker_process_init.connect(self._begin_child, weak=False)
        signals.worker_process_shutdown.connect(self._end_child, weak=False)
        signals.worker_ready.connect(self._begin_watching, weak=False)
        signals.worker_shutting_down.connect(self._ask_stop, weak=False)
        signals.worker_shutdown.connect(self._end_parent, weak=False)

    def run_group(self, refs: Sequence[Ref]) -> None:
        """Run the jobs of a message. In a child only."""
        if self._seat is None:
            raise ConfigurationError("Handlers run in the processes of a prefork pool only.")
        # A stop is the parent's to direct, also when a whole process group is signalled. A function and not SIG_IGN,
        # which a program that a handler runs would inherit. Set here, because the pool sets its own after our setup.
        previous = signal.signal(signal.SIGTERM, _ignore)
        try:
            self._child_executor(self._seat).run_group(refs)
        finally:
            signal.signal(signal.SIGTERM, previous)

    def rescue(self) -> None:
        """Celery does not come to an end: give back what is held, from another thread, and leave no process behind."""
        self._end_parent()
        for index in range(self._board.seats):
            kill(self._board.pid(index))

    def _child_executor(self, seat: Seat) -> Executor:
        if self._executor is None:
            self._executor = Executor(seat, worker_id=self._await_worker_id, lease_seconds=self._lease_seconds)
        return self._executor

    def _before_fork(self, **_: Any) -> None:
        self._watchdog.bury_dead()

    def _begin_child(self, **_: Any) -> None:
        drop_inherited_connections()
        self._seat = self._board.seat(current_process().index)  # type: ignore[attr-defined]  # set by the pool
        self._seat.take(os.getpid())

    def _end_child(self, **_: Any) -> None:
        if self._executor is not None:
            self._executor.stop()
            connections.close_all()

    def _begin_watching(self, sender: Any = None, **_: Any) -> None:
        self._consumer = sender
        # Celery says "ready" again after each reconnection to the broker.
        if not self._is_watching:
            self._is_watching = True
            self._keeper.start()
            self._watchdog.start()
            self._presence.start()

    def _replace_dead(self) -> None:
        """Have Celery look for dead children in its own thread now; by itself it may take five seconds."""
        if self._consumer is not None and self._consumer.hub is not None:
            self._consumer.hub.call_soon(self._consumer.pool.maintain_pool)

    def _ask_stop(self, **_: Any) -> None:
        self._is_stop_asked = True

    def _end_parent(self, **_: Any) -> None:
        if self._is_watching:
            self._watchdog.stop(GRACE_SECONDS)
            self._keeper.stop(_PATIENCE_SECONDS)
            self._presence.stop()

    def _note_worker_id(self, worker_id: UUID) -> None:
        self._board.worker_id = worker_id
        self._on_ready()

    def _await_worker_id(self) -> UUID:
        """The parent registers when the pool is up; a message may be there first."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (worker_id := self._board.worker_id) is None:
            if time.monotonic() > deadline:
                raise Unavailable("This worker could not register yet; the message is left to its lease.")
            time.sleep(_POLL_SECONDS)
        return worker_id

    def _report(self) -> PresenceReport:
        return PresenceReport(
            slots=self._processes,
            busy_slots=self._board.busy_seats,
            jobs_per_slot=decide_jobs_per_slot(self._board.mean_ms),
            run_times=self._board.run_times,
        )


def decide_jobs_per_slot(mean_ms: float | None) -> int:
    """How many jobs a process takes at once: as many as it runs in about 100 ms, 1 to 50; 1 while that is not known."""
    return 1 if mean_ms is None else max(1, min(MOST_JOBS_PER_SLOT, int(SLOT_MS / mean_ms)))


def install() -> HandlerPool:
    """Make the pool of this process and connect it. Call once, before Celery starts, with the handlers loaded."""
    environment = settings.ENVIRONMENT
    readiness = Readiness(environment.notify_socket, "registered")
    pool = HandlerPool(
        processes=environment.handler_processes,
        lease_seconds=environment.lease_seconds,
        stop_grace_seconds=environment.stop_grace_seconds,
        on_ready=lambda: readiness.note("registered"),
    )
    pool.connect()
    return pool


def _ignore(_signal: int, _frame: object) -> None:
    return
