"""Says that this process lives and what it can take: a row per pool, beaten each second on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import Error

from jobservice.crash_points import crash_point
from jobservice.jobs.fleet import beat_worker, deregister_worker, register_worker
from jobservice.logs import log_event
from workers.fork_gate import between_forks, database_thread

BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PresenceReport:
    """What a beat says: slots and those in use, how many short jobs one takes, mean run times in ms by handler."""

    slots: int
    busy_slots: int | None = None
    jobs_per_slot: int = 1
    run_times: Mapping[str, float] = field(default_factory=dict)


class Presence:
    """One worker row of a pool. While the database is away it keeps trying, so the row is back within a second."""

    def __init__(
        self,
        pool: str,
        report: Callable[[], PresenceReport],
        *,
        on_registered: Callable[[UUID], None] = lambda _worker_id: None,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        """`report` is asked before each beat; `on_registered` is told each new id, on the presence's thread."""
        self._pool = pool
        self._report = report
        self._on_registered = on_registered
        self._beat_seconds = beat_seconds
        self._worker_id: UUID | None = None
        self._is_draining = False
        self._is_stopping = False
        self._registered = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"presence-{pool}", daemon=True)

    @property
    def worker_id(self) -> UUID:
        """The id of the row; waits until there is one."""
        self._registered.wait()
        assert self._worker_id is not None  # noqa: S101 (set before the event; for the type checker)
        return self._worker_id

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def drain(self) -> None:
        """Say from now on that the process takes nothing more."""
        self._is_draining = True
        self._wanted.set()

    def stop(self, timeout: float = 2.0) -> None:
        """Remove the row and end; waits at most `timeout` seconds. A row that stays is taken for dead in a while."""
        self._is_stopping = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        with database_thread():
            while not self._is_stopping:
                self._in_database(self._beat)
                self._wanted.wait(self._beat_seconds)
                self._wanted.clear()
            self._in_database(self._deregister)

    def _in_database(self, act: Callable[[], None]) -> None:
        try:
            with between_forks():
                act()
        except Error as error:
            log_event("beat_failed", level="warning", pool=self._pool, error_class=type(error).__name__)

    def _beat(self) -> None:
        report = self._report()
        if self._worker_id is None:
            self._register(report)
        is_known = beat_worker(
            self.worker_id,
            slots=report.slots,
            jobs_per_slot=report.jobs_per_slot,
            run_times=report.run_times,
            is_draining=self._is_draining,
            busy_slots=report.busy_slots,
        )
        if not is_known:
            self._worker_id = None
            self._wanted.set()

    def _register(self, report: PresenceReport) -> None:
        self._worker_id = register_worker(pool=self._pool, slots=report.slots)
        crash_point("presence.registered")
        self._registered.set()
        self._on_registered(self._worker_id)
        log_event("worker_registered", pool=self._pool, worker_id=self._worker_id)

    def _deregister(self) -> None:
        if self._worker_id is not None:
            deregister_worker(self._worker_id)
