"""Waiting for the end of a job, without a database connection for each who waits.

1. `watch` takes a place and notes the job, before the caller looks whether it is over already.
2. One thread per process LISTENs on a connection of its own. At each NOTIFY, at most every 20 ms, and each second as a
   net, it looks all noted jobs up in one statement and wakes those who wait for one that is over.
3. An end before the note is seen by the caller's look, one after it by the thread's: none is missed.
Places are for half of the process's threads, so that the others always answer. A process that stops sends all home.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from django.conf import settings

from jobservice.database import connect_alone
from jobservice.jobs.notifier import ENDS_CHANNEL
from jobservice.logs import log_event

POLL_SECONDS = 1.0
QUIET_SECONDS = 0.02
_RECONNECT_SECONDS = 1.0
# The function is the only way to look under many tenants' policies at once; it is in change_and_erase.sql.
_LOOK = "SELECT unfinished_jobs(%s::uuid[], %s::uuid[])"


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """One waiter's note of a job."""

    tenant_id: UUID
    job_id: UUID
    _is_over: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> bool:
        """Wait until the job is over; False when the time was up first."""
        return self._is_over.wait(seconds)

    def wake(self) -> None:
        self._is_over.set()


class EndWatch:
    """The waiters of one process, at most `places` of them, until `stopping` is set."""

    def __init__(self, *, places: int, stopping: threading.Event) -> None:
        self._places = threading.Semaphore(places)
        self._lock = threading.Lock()
        self._watched: set[Watched] = set()
        self._thread: threading.Thread | None = None
        self._stopping = stopping

    @contextmanager
    def watch(self, tenant_id: UUID, job_id: UUID) -> Iterator[Watched | None]:
        """Note the job for the block; None when there is no place, or the process is stopping."""
        if self._stopping.is_set() or not self._places.acquire(blocking=False):
            yield None
            return
        watched = Watched(tenant_id, job_id)
        try:
            with self._lock:
                self._watched.add(watched)
                self._start()
            if self._stopping.is_set():
                watched.wake()
            yield watched
        finally:
            with self._lock:
                self._watched.discard(watched)
            self._places.release()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="end-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with connect_alone() as connection:
                    connection.execute(f"LISTEN {ENDS_CHANNEL}")
                    self._serve(connection)
            except psycopg.Error as error:
                # Without a database the waiters' own time runs out, and then they are told so.
                log_event("end_watch_reconnects", level="warning", error_class=type(error).__name__)
                time.sleep(_RECONNECT_SECONDS)
        for one in self._snapshot():
            one.wake()

    def _serve(self, connection: psycopg.Connection) -> None:
        # The first look comes after LISTEN: what ended before was notified to nobody.
        while not self._stopping.is_set():
            self._wake_ended(connection)
            for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                time.sleep(QUIET_SECONDS)

    def _wake_ended(self, connection: psycopg.Connection) -> None:
        watched = self._snapshot()
        if not watched:
            return
        tenants, jobs = [one.tenant_id for one in watched], [one.job_id for one in watched]
        unfinished = {job_id for (job_id,) in connection.execute(_LOOK, [tenants, jobs])}
        for one in watched:
            if one.job_id not in unfinished:
                one.wake()

    def _snapshot(self) -> list[Watched]:
        with self._lock:
            return list(self._watched)


_lock = threading.Lock()
_watch: EndWatch | None = None
_stopping = threading.Event()


def end_watch() -> EndWatch:
    """This process's watch, made on first use: half of the web's threads may wait."""
    global _watch
    with _lock:
        if _watch is None:
            _watch = EndWatch(places=settings.ENVIRONMENT.web_threads // 2, stopping=_stopping)
        return _watch


def stop_waiting() -> None:
    """Nobody waits here any more; who does is answered within a second. Only sets a flag: safe in a signal handler."""
    _stopping.set()
