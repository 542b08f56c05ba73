"""The egress process: Celery's threads admit work, one asyncio loop sends it. Nothing else of the service dials out.

Two pools share the loop, `egress` (http jobs) and `deliveries`, each with its own slots, so that neither starves the
other. A warm stop takes nothing new, lets what is in flight end within the grace, and gives the rest back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from celery import signals
from django.conf import settings
from django.db import Error, connection

from jobservice.crypto.message_mac import Ref
from jobservice.egress.client import EgressClient
from jobservice.egress.policy import EgressPolicy
from jobservice.errors import Unavailable
from jobservice.jobs.egress_policy import egress_policy
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.logs import log_event
from workers.egress_flights import FlightPool
from workers.egress_work import Deliveries, HttpJobs, Work
from workers.presence import Presence, PresenceReport

S = TypeVar("S")
E = TypeVar("E")

_LOOK_SECONDS = 1.0
_REGISTER_PATIENCE_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0


class Branch(Generic[S, E]):
    """One pool with its presence: the row that says what it can take, under whose id its work is started."""

    def __init__(self, work: Work[S, E], *, loop: asyncio.AbstractEventLoop, slots: int, lease_seconds: float) -> None:
        self.flights = FlightPool(
            work, loop=loop, slots=slots, lease_seconds=lease_seconds, on_recorded=wake_dispatcher
        )
        self.presence = Presence(work.pool, lambda: PresenceReport(slots=slots), on_registered=self._note_worker_id)
        self._pool = work.pool
        self._worker_id: UUID | None = None
        self._registered = threading.Event()

    def admit(self, refs: Sequence[Ref]) -> None:
        """Start the group and return. A database that is away leaves the message to its lease."""
        connection.close_if_unusable_or_obsolete()
        try:
            self.flights.admit(refs, worker_id=self._await_worker_id())
        except Error as error:
            connection.close()
            log_event("start_failed", level="warning", pool=self._pool, error_class=type(error).__name__)

    def _note_worker_id(self, worker_id: UUID) -> None:
        self._worker_id = worker_id
        self._registered.set()

    def _await_worker_id(self) -> UUID:
        """A message may be there before the process has registered."""
        self._registered.wait(_REGISTER_PATIENCE_SECONDS)
        if self._worker_id is None:
            raise Unavailable("This worker could not register yet; the message is left to its lease.")
        return self._worker_id


class EgressProcess:
    """The loop, the client, both pools and their heartbeat. `start` once, `stop` once."""

    def __init__(self, policy: EgressPolicy, *, slots: int, lease_seconds: float, stop_grace_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._stop_asked_at: float | None = None
        self._is_over = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._client = EgressClient(policy)
        self.jobs = Branch(
            HttpJobs(self._client, lease_seconds=lease_seconds),
            loop=self._loop,
            slots=slots,
            lease_seconds=lease_seconds,
        )
        self.deliveries = Branch(
            Deliveries(self._client, lease_seconds=lease_seconds),
            loop=self._loop,
            slots=slots,
            lease_seconds=lease_seconds,
        )
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="egress-loop", daemon=True)
        self._heartbeat = threading.Thread(target=self._beat, name="egress-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to take work; returns at once."""
        self._loop_thread.start()
        self._heartbeat.start()
        self.jobs.presence.start()
        self.deliveries.presence.start()

    def ask_stop(self) -> None:
        """The grace begins. Safe in a signal handler: a flag and nothing else."""
        self._stop_asked_at = self._stop_asked_at or time.monotonic()

    def stop(self) -> None:
        """Let what is in flight end within the grace, give the rest back, and end every thread."""
        self.ask_stop()
        for branch in (self.jobs, self.deliveries):
            branch.presence.drain()
        for branch in (self.jobs, self.deliveries):
            branch.flights.drain(self._grace_left())
        for branch in (self.jobs, self.deliveries):
            branch.presence.stop()
        self._is_over.set()
        self._heartbeat.join(_PATIENCE_SECONDS)
        self._end_loop()

    def _grace_left(self) -> float:
        asked_at = self._stop_asked_at or time.monotonic()
        return max(0.0, asked_at + self._stop_grace_seconds - time.monotonic())

    def _end_loop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close_client(), self._loop)
        self._loop_thread.join(_PATIENCE_SECONDS)
        if not self._loop_thread.is_alive():
            self._loop.close()

    async def _close_client(self) -> None:
        try:
            await self._client.close()
        finally:
            self._loop.stop()

    def _beat(self) -> None:
        interval = min(_LOOK_SECONDS, self._lease_seconds / 3)
        try:
            while not self._is_over.wait(interval):
                if self._stop_asked_at is not None:
                    self.jobs.presence.drain()
                    self.deliveries.presence.drain()
                connection.close_if_unusable_or_obsolete()
                self._look_after()
        finally:
            connection.close()

    def _look_after(self) -> None:
        for branch in (self.jobs, self.deliveries):
            try:
                branch.flights.look_after()
            except Exception as error:  # noqa: BLE001 (a fault of ours must never end the thread that keeps every lease)
                log_event("lease_keeping_failed", level="error", error_class=type(error).__name__)


_process: EgressProcess | None = None


def admit_jobs(refs: Sequence[Ref]) -> None:
    """Start http jobs and hand them to the loop; returns before they are sent."""
    _running().jobs.admit(refs)


def admit_deliveries(refs: Sequence[Ref]) -> None:
    """Start deliveries and hand them to the loop; returns before they are sent."""
    _running().deliveries.admit(refs)


def install() -> None:
    """Hang the process on Celery's signals. Call once, before Celery starts."""
    signals.worker_init.connect(_start, weak=False)
    signals.worker_shutting_down.connect(_ask_stop, weak=False)
    signals.worker_shutdown.connect(_stop, weak=False)


def _running() -> EgressProcess:
    if _process is None:
        raise Unavailable("The egress of this process does not run; the message is left to its lease.")
    return _process


def _start(**_: Any) -> None:
    global _process
    environment = settings.ENVIRONMENT
    _process = EgressProcess(
        egress_policy(),
        slots=environment.egress_slots,
        lease_seconds=environment.lease_seconds,
        stop_grace_seconds=environment.stop_grace_seconds,
    )
    _process.start()


def _ask_stop(**_: Any) -> None:
    if _process is not None:
        _process.ask_stop()


def _stop(**_: Any) -> None:
    """Celery has stopped consuming by now, and its threads have admitted what they had taken."""
    global _process
    stopping, _process = _process, None
    if stopping is not None:
        stopping.stop()
