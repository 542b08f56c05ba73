"""What one pool of the egress process has in flight: from the fenced start to the written record.

`FlightPool` knows no job and no delivery: what it starts, sends and records is a `Work` (egress_work.py). Four kinds of
threads meet here: Celery's (admit), the event loop's (send), the recorder's (write) and the heartbeat's (look_after).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from django.db import Error, connection

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.database import is_database_away
from jobservice.logs import log_event
from workers.egress_work import Look, Work
from workers.recorder import Recorder

S = TypeVar("S")
E = TypeVar("E")

# How long a stop waits for the loop, and for a database that may be away.
_PATIENCE_SECONDS = 2.0

# Why a flight was cut: somebody cancelled the job, its lease is no longer ours, or this process stops.
Cut = Literal["cancelled", "lost", "stopped"]


@dataclass(slots=True, eq=False)
class Flight(Generic[S, E]):
    """One started thing. `confirmed_at` is when its lease was last known to be ours, on the monotonic clock."""

    ref: Ref
    worker_id: UUID
    started: S = field(repr=False)
    confirmed_at: float
    task: asyncio.Task[E] | None = None
    cut: Cut | None = None
    ended: E | None = field(default=None, repr=False)
    ended_at: float | None = None


class FlightPool(Generic[S, E]):
    """At most `slots` sends at once on the loop; the rest of what was admitted waits its turn under its lease."""

    def __init__(
        self,
        work: Work[S, E],
        *,
        loop: asyncio.AbstractEventLoop,
        slots: int,
        lease_seconds: float,
        on_recorded: Callable[[], None],
    ) -> None:
        self._work = work
        self._loop = loop
        self._slots = asyncio.Semaphore(slots)
        self._lease_seconds = lease_seconds
        self._on_recorded = on_recorded
        self._flights: dict[Ref, Flight[S, E]] = {}
        self._changed = threading.Condition()
        self._renewed_at = 0.0
        self._recorder: Recorder[Flight[S, E]] = Recorder(self._write, keep_seconds=lease_seconds)

    def admit(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        """Start the group and hand it to the loop; how many were still to be started."""
        asked_at = time.monotonic()
        started = self._work.start(refs, worker_id=worker_id)
        flights = [Flight[S, E](ref, worker_id, item, asked_at) for ref, item in started]
        with self._changed:
            self._flights.update((flight.ref, flight) for flight in flights)
        crash_point("flights.admitted")
        self._loop.call_soon_threadsafe(self._launch, flights)
        return len(flights)

    def look_after(self) -> None:
        """Renew leases each third of their length, else look for cancels; stop what is cancelled or no longer ours."""
        flights = self._snapshot()
        now = time.monotonic()
        if flights:
            try:
                self._ask_database(flights, now)
            except Error as error:
                connection.close()
                log_event("lease_renewal_failed", level="warning", error_class=type(error).__name__)
        self._cut([flight for flight in flights if now - flight.confirmed_at > self._lease_seconds * 2 / 3], "lost")
        # The recorder has dropped by now what it could not write: the lease must be let go.
        self._forget(
            flight for flight in flights if flight.ended_at is not None and now - flight.ended_at > self._lease_seconds
        )

    @property
    def in_flight(self) -> int:
        """How many are started and not written down yet."""
        return len(self._flights)

    def drain(self, timeout: float) -> None:
        """Wait until nothing is in flight; after `timeout` seconds stop the rest and give it back; end the recorder."""
        with self._changed:
            self._changed.wait_for(lambda: not self._flights, timeout)
        rest = self._snapshot()
        if rest:
            self._cut(rest, "stopped")
            self._give_back()
        self._recorder.stop(_PATIENCE_SECONDS)

    def _launch(self, flights: Sequence[Flight[S, E]]) -> None:
        for flight in flights:
            flight.task = self._loop.create_task(self._send(flight))
            flight.task.add_done_callback(partial(self._land, flight))

    async def _send(self, flight: Flight[S, E]) -> E:
        async with self._slots:
            return await self._work.send(flight.started)

    def _land(self, flight: Flight[S, E], task: asyncio.Task[E]) -> None:
        """On the loop, when a send ended in whatever way."""
        if task.cancelled() and flight.cut != "cancelled":
            # Lost: somebody else's now. Stopped: to be given back. Neither is recorded.
            if flight.cut == "lost":
                self._forget([flight])
            with self._changed:
                self._changed.notify_all()
            return
        flight.ended = self._end_of(flight, task)
        flight.ended_at = time.monotonic()
        self._recorder.add(flight)

    def _end_of(self, flight: Flight[S, E], task: asyncio.Task[E]) -> E:
        if task.cancelled():
            return self._work.end_without_answer(flight.started, "cancelled")
        error = task.exception()
        if error is not None:
            name = type(error).__name__
            log_event("egress_send_broke", level="error", pool=self._work.pool, error_class=name, **self._names(flight))
            return self._work.end_without_answer(flight.started, "internal")
        return task.result()

    def _write(self, flights: list[Flight[S, E]]) -> None:
        try:
            self._work.record([flight.ended for flight in flights if flight.ended is not None])
        except Exception as error:
            if not is_database_away(error):
                self._forget(flights)
            raise
        crash_point("flights.recorded")
        self._forget(flights)
        self._on_recorded()

    def _ask_database(self, flights: Sequence[Flight[S, E]], now: float) -> None:
        is_renewal = now - self._renewed_at >= self._lease_seconds / 3
        for worker_id, mine in _by_worker(flights).items():
            refs = [flight.ref for flight in mine]
            ask = self._work.renew if is_renewal else self._work.look
            look = ask(refs, worker_id=worker_id)
            if look is not None:
                self._heed(mine, look, confirmed_at=now if is_renewal else None)
        if is_renewal:
            crash_point("flights.renewed")
            self._renewed_at = now

    def _heed(self, flights: Sequence[Flight[S, E]], look: Look, *, confirmed_at: float | None) -> None:
        kept, cancelled = frozenset(look.kept), frozenset(look.cancelled)
        if confirmed_at is not None:
            for flight in flights:
                flight.confirmed_at = confirmed_at if flight.ref in kept else flight.confirmed_at
        self._cut([flight for flight in flights if flight.ref in cancelled], "cancelled")
        self._cut([flight for flight in flights if flight.ref not in kept], "lost")

    def _cut(self, flights: Sequence[Flight[S, E]], why: Cut) -> None:
        """Stop these sends, each for the first reason that is given. What has ended already is recorded as it is."""
        if flights:
            self._loop.call_soon_threadsafe(self._cut_on_loop, flights, why)

    def _cut_on_loop(self, flights: Sequence[Flight[S, E]], why: Cut) -> None:
        for flight in flights:
            if flight.task is not None and not flight.task.done() and flight.cut is None:
                flight.cut = why
                flight.task.cancel()
                if why == "lost":
                    log_event("lease_lost", level="warning", pool=self._work.pool, **self._names(flight))

    def _names(self, flight: Flight[S, E]) -> dict[str, Any]:
        """What an event says about which flight it is of."""
        own = "delivery_id" if self._work.pool == "deliveries" else "job_id"
        return {"tenant_id": flight.ref.tenant_id, own: flight.ref.id, "epoch": flight.ref.epoch}

    def _give_back(self) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: all(_has_landed(flight) for flight in self._flights.values()), _PATIENCE_SECONDS
            )
        rest = [flight for flight in self._snapshot() if flight.ended_at is None]
        for worker_id, mine in _by_worker(rest).items():
            try:
                count = self._work.release([flight.ref for flight in mine], worker_id=worker_id)
            except Error as error:
                # Their leases end by themselves.
                log_event("release_failed", level="warning", count=len(mine), error_class=type(error).__name__)
            else:
                log_event("work_released", pool=self._work.pool, count=count)
        self._forget(rest)
        self._on_recorded()

    def _snapshot(self) -> list[Flight[S, E]]:
        with self._changed:
            return list(self._flights.values())

    def _forget(self, flights: Iterable[Flight[S, E]]) -> None:
        with self._changed:
            for flight in flights:
                self._flights.pop(flight.ref, None)
            self._changed.notify_all()


def _by_worker(flights: Sequence[Flight[S, E]]) -> dict[UUID, list[Flight[S, E]]]:
    """A process whose row was lost registers again: what it started before is still held under the old id."""
    grouped: dict[UUID, list[Flight[S, E]]] = {}
    for flight in flights:
        grouped.setdefault(flight.worker_id, []).append(flight)
    return grouped


def _has_landed(flight: Flight[Any, Any]) -> bool:
    return flight.ended_at is not None or (flight.task is not None and flight.task.done())
