"""The parent's thread that ends runs: it reads the board and the monotonic clock, raises flags, kills, and buries.

It never touches the database, so that a hung one cannot keep it from its work; what it decides is written by the
lease keeper. A run that must end is flagged first, and its process is killed when the grace is over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from jobservice.crash_points import crash_point
from jobservice.logs import log_event
from workers.board import Board
from workers.board_layout import BoardJob, Flag, JobState, Snapshot
from workers.losses import NANOSECONDS, UNKNOWN_ENDING, Cause, Loss, decide_loss, describe_ending

TICK_SECONDS = 0.05
GRACE_SECONDS = 1.0
# A cancelled run may have something to put in order; one that is late has had its time.
CANCEL_GRACE_SECONDS = 5.0
LEASE_SHARE = 2 / 3


class Keeper(Protocol):
    """What the watchdog needs of the lease keeper."""

    def confirmed_ns(self, snapshot: Snapshot) -> int: ...

    def add_loss(self, loss: Loss) -> None: ...


@dataclass(frozen=True, slots=True)
class _Doom:
    """A group that will be killed, unless the run that is the reason ends before."""

    sequence: int
    place: int
    cause: Cause
    kill_at_ns: int
    is_killed: bool = False


class Watchdog:
    """`should_stop` is asked at each tick, `on_stop` called once, when it first says yes, `on_death` at each burial."""

    def __init__(
        self,
        board: Board,
        keeper: Keeper,
        *,
        lease_seconds: float,
        stop_grace_seconds: float,
        should_stop: Callable[[], bool] = lambda: False,
        on_stop: Callable[[], None] = lambda: None,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self._board = board
        self._keeper = keeper
        self._lease_seconds = lease_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._should_stop = should_stop
        self._on_stop = on_stop
        self._on_death = on_death
        self._stop_asked_ns: int | None = None
        self._dooms: dict[int, _Doom] = {}
        # The main thread buries too, just before it forks a successor.
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Bury what is dead by now and end."""
        self._ended.set()
        self._thread.join(timeout)
        self.bury_dead()

    def bury_dead(self) -> None:
        """Take the groups of processes that are gone off the board. Call before a seat gets a new process."""
        with self._lock:
            for index in range(self._board.seats):
                self._bury_if_dead(index)

    def tick(self, now_ns: int) -> None:
        """Look at every seat once."""
        self._note_stop(now_ns)
        with self._lock:
            for index in range(self._board.seats):
                if not self._bury_if_dead(index):
                    snapshot = self._board.read(index)
                    if snapshot is not None:
                        self._guard(snapshot, now_ns)

    def _run(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            try:
                self.tick(time.monotonic_ns())
            except Exception as error:  # noqa: BLE001 (nobody else ends a run that will not: no fault may end this)
                log_event("watchdog_failed", level="error", error_class=type(error).__name__)

    def _note_stop(self, now_ns: int) -> None:
        if self._stop_asked_ns is None:
            if not self._should_stop():
                return
            self._stop_asked_ns = now_ns
            self._on_stop()
        if now_ns >= self._stop_asked_ns + self._seconds_to_finish * NANOSECONDS:
            self._board.stop()

    @property
    def _seconds_to_finish(self) -> float:
        """How long a group may go on after a stop was asked for; the rest of the stop's grace is for its flags."""
        return max(0.0, self._stop_grace_seconds - self._grace_seconds)

    @property
    def _grace_seconds(self) -> float:
        """Between the flag and the kill; with a very short lease, still well inside it."""
        return min(GRACE_SECONDS, self._lease_seconds / 6)

    @property
    def _cancel_grace_seconds(self) -> float:
        return min(CANCEL_GRACE_SECONDS, self._lease_seconds / 6)

    def _guard(self, snapshot: Snapshot, now_ns: int) -> None:
        """Flag, let live, or kill one group. Of two reasons to kill it the one that is due first counts."""
        doom = self._dooms.get(snapshot.seat)
        if doom is not None and not _still_stands(doom, snapshot):
            del self._dooms[snapshot.seat]
            doom = None
        if doom is not None and doom.is_killed:
            return
        found = self._doom(snapshot, now_ns)
        if found is not None and (doom is None or found.kill_at_ns < doom.kill_at_ns):
            self._dooms[snapshot.seat] = doom = found
        if doom is not None and now_ns >= doom.kill_at_ns:
            self._dooms[snapshot.seat] = replace(doom, is_killed=True)
            log_event("child_killed", level="warning", child=snapshot.pid, reason=doom.cause)
            kill(snapshot.pid)
            crash_point("watchdog.killed")

    def _doom(self, snapshot: Snapshot, now_ns: int) -> _Doom | None:
        """Whether something about this group must end, and when; flags it."""
        place, running = _running(snapshot)
        grace_ns = int(self._grace_seconds * NANOSECONDS)
        if self._board.is_stopping and snapshot.jobs:
            return self._let_go(snapshot, now_ns + grace_ns)
        if running is None:
            return None
        if running.flags & Flag.LOST:
            return _Doom(snapshot.sequence, place, "lost", now_ns + grace_ns)
        if now_ns >= running.started_ns + running.timeout_seconds * NANOSECONDS:
            self._board.raise_flag(snapshot, place, Flag.DEADLINE)
            return _Doom(snapshot.sequence, place, "deadline", now_ns + grace_ns)
        if now_ns >= (kill_at_ns := self._self_stop_ns(snapshot)) - grace_ns:
            return self._let_go(snapshot, kill_at_ns)
        if running.flags & Flag.CANCEL:
            # Flagged by the lease keeper, which learned of it.
            kill_at_ns = now_ns + int(self._cancel_grace_seconds * NANOSECONDS)
            return _Doom(snapshot.sequence, place, "cancelled", kill_at_ns)
        return None

    def _let_go(self, snapshot: Snapshot, kill_at_ns: int) -> _Doom:
        for position in range(len(snapshot.jobs)):
            self._board.raise_flag(snapshot, position, Flag.STOP)
        return _Doom(snapshot.sequence, -1, "stopped", kill_at_ns)

    def _self_stop_ns(self, snapshot: Snapshot) -> int:
        """When a group must be gone whose lease could not be renewed: well before somebody else may take its jobs."""
        return self._keeper.confirmed_ns(snapshot) + int(LEASE_SHARE * self._lease_seconds * NANOSECONDS)

    def _bury_if_dead(self, index: int) -> bool:
        pid = self._board.pid(index)
        ending = _ending(pid) if pid else None
        if ending is None:
            return False
        snapshot, doom = self._board.read(index), self._dooms.pop(index, None)
        if snapshot is None:
            log_event("board_torn", level="error", child=pid)
        elif not snapshot.jobs:
            log_event("child_ended", child=pid, reason=self._reason_of_quiet_end(ending))
        else:
            is_ours = doom is not None and doom.is_killed and doom.sequence == snapshot.sequence
            cause, place = (doom.cause, doom.place) if doom is not None and is_ours else ("died", -1)
            now_ns = time.monotonic_ns()
            self._keeper.add_loss(decide_loss(snapshot, cause=cause, place=place, ending=ending, now_ns=now_ns))
            log_event("child_died", level="warning", child=pid, reason=cause, count=len(snapshot.jobs))
        crash_point("watchdog.buried")
        self._board.clear(index)
        self._on_death()
        return True

    def _reason_of_quiet_end(self, ending: str) -> str:
        """In an orderly stop Celery's pool ends the children and reaps them first, and their status with them."""
        return "stopped with its worker" if ending == UNKNOWN_ENDING and self._should_stop() else ending


def _still_stands(doom: _Doom, snapshot: Snapshot) -> bool:
    """A doom is for one group, and if for one run of it, for as long as that run lasts."""
    if doom.sequence != snapshot.sequence:
        return False
    return doom.place < 0 or snapshot.jobs[doom.place].state is JobState.RUNNING


def _running(snapshot: Snapshot) -> tuple[int, BoardJob | None]:
    for place, job in enumerate(snapshot.jobs):
        if job.state is JobState.RUNNING and job.started_ns:
            return place, job
    return -1, None


def _ending(pid: int) -> str | None:
    """How this child ended, in words; None while it lives. Leaves it to Celery's pool to reap it."""
    try:
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return describe_ending(None, was_signal=False)
    if status is None:
        return None
    return describe_ending(status.si_status, was_signal=status.si_code != os.CLD_EXITED)


def kill(pid: int) -> None:
    """Kill a pool process. 0 is an empty seat, and never this process's own group."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
