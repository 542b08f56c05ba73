"""The egress process: Celery's threads admit work, one asyncio loop sends it. Nothing else of the service dials out.

Two pools share the loop, `egress` (http jobs) and `deliveries`, each with its own slots, so that neither starves the
other. A warm stop takes nothing new, lets what is in flight end within the grace, and gives the rest back.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from celery import signals
from django.conf import settings
from django.db import Error, connection

from jobservice.crypto.message_mac import Ref
from jobservice.cycles import look_for_cycles_seldom
from jobservice.egress.client import EgressClient
from jobservice.egress.policy import EgressPolicy
from jobservice.egress_policy import egress_policy
from jobservice.errors import Unavailable
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.logs import log_event
from jobservice.ready import Readiness
from tenants.root_keys import root_keyring
from workers.egress_flights import FlightPool
from workers.egress_work import Deliveries, HttpJobs, Work
from workers.presence import Presence, PresenceReport

S = TypeVar("S")
E = TypeVar("E")

_LOOK_SECONDS = 1.0
_REGISTER_PATIENCE_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0
# The loop holds the interpreter through a whole group of sends, and a thread that starts or records one asks for it
# after each answer of the database: it would wait five milliseconds a time, ten times for a group.
_SWITCH_SECONDS = 0.001


class Branch(Generic[S, E]):
    """One pool with its presence: the row that says what it can take, under whose id its work is started."""

    def __init__(
        self,
        work: Work[S, E],
        *,
        loop: asyncio.AbstractEventLoop,
        slots: int,
        lease_seconds: float,
        on_registered: Callable[[str], None],
    ) -> None:
        self.flights = FlightPool(
            work, loop=loop, slots=slots, lease_seconds=lease_seconds, on_recorded=wake_dispatcher
        )
        self._slots = slots
        self.presence = Presence(work.pool, self._report, on_registered=self._note_worker_id)
        self._pool = work.pool
        self._on_registered = on_registered
        self._worker_id: UUID | None = None
        self._registered = threading.Event()

    def admit(self, refs: Sequence[Ref]) -> None:
        """Start the group and return. A database that is away leaves the message to its lease."""
        connection.close_if_unusable_or_obsolete()
        try:
            self.flights.admit(refs, worker_id=self._await_worker_id())
            # There is room for the next message.
            wake_dispatcher()
        except Error as error:
            connection.close()
            log_event("start_failed", level="warning", pool=self._pool, error_class=type(error).__name__)

    def _report(self) -> PresenceReport:
        # More may be started than may fly: those wait for a slot.
        return PresenceReport(slots=self._slots, busy_slots=min(self._slots, self.flights.in_flight))

    def _note_worker_id(self, worker_id: UUID) -> None:
        self._worker_id = worker_id
        self._registered.set()
        self._on_registered(self._pool)

    def _await_worker_id(self) -> UUID:
        """A message may be there before the process has registered."""
        self._registered.wait(_REGISTER_PATIENCE_SECONDS)
        if self._worker_id is None:
            raise Unavailable("This worker could not register yet; the message is left to its lease.")
        return self._worker_id


class EgressProcess:
    """The loop, the client, both pools and their heartbeat. `start` once, `stop` once."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        slots: int,
        lease_seconds: float,
        stop_grace_seconds: float,
        on_registered: Callable[[str], None] = lambda _pool: None,
        mark: str | None = None,
    ) -> None:
        """`on_registered` is told the pool's name, on that pool's presence thread; `mark` is the client's."""
        self._lease_seconds = lease_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._stop_asked_at: float | None = None
        self._is_over = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._client = EgressClient(policy, mark=mark)
        self.jobs = Branch(
            HttpJobs(self._client, lease_seconds=lease_seconds),
            loop=self._loop,
            slots=slots,
            lease_seconds=lease_seconds,
            on_registered=on_registered,
        )
        self.deliveries = Branch(
            Deliveries(self._client, lease_seconds=lease_seconds),
            loop=self._loop,
            slots=slots,
            lease_seconds=lease_seconds,
            on_registered=on_registered,
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
# It can work once Celery consumes and both pools have registered.
_readiness = Readiness(settings.ENVIRONMENT.notify_socket, "consuming", "egress", "deliveries")


def admit_jobs(refs: Sequence[Ref]) -> None:
    """Start http jobs and hand them to the loop; returns before they are sent."""
    _running().jobs.admit(refs)


def admit_deliveries(refs: Sequence[Ref]) -> None:
    """Start deliveries and hand them to the loop; returns before they are sent."""
    _running().deliveries.admit(refs)


def install() -> None:
    """Hang the process on Celery's signals. Call once, before Celery starts."""
    signals.worker_init.connect(_start, weak=False)
    signals.worker_ready.connect(_note_consuming, weak=False)
    signals.worker_shutting_down.connect(_ask_stop, weak=False)
    signals.worker_shutdown.connect(_stop, weak=False)


def rescue() -> None:
    """Celery does not come to an end: give back what is held, from another thread."""
    _stop()


def _running() -> EgressProcess:
    if _process is None:
        raise Unavailable("The egress of this process does not run; the message is left to its lease.")
    return _process


def _start(**_: Any) -> None:
    global _process
    environment = settings.ENVIRONMENT
    sys.setswitchinterval(_SWITCH_SECONDS)
    _process = EgressProcess(
        egress_policy(),
        slots=environment.egress_slots,
        lease_seconds=environment.lease_seconds,
        stop_grace_seconds=environment.stop_grace_seconds,
        on_registered=_readiness.note,
        mark=root_keyring().mark(),
    )
    _process.start()


def _note_consuming(**_: Any) -> None:
    look_for_cycles_seldom()
    _readiness.note("consuming")


def _ask_stop(**_: Any) -> None:
    if _process is not None:
        _process.ask_stop()


def _stop(**_: Any) -> None:
    """Celery has stopped consuming by now, and its threads have admitted what they had taken."""
    global _process
    stopping, _process = _process, None
    if stopping is not None:
        stopping.stop()
