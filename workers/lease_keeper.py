"""The parent's thread that talks to the database about its children's jobs: renews their leases, learns of cancelled
and lost ones, and writes what became of a group whose process is gone. Clocks and kills are the watchdog's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import Error

from jobservice.crash_points import crash_point
from jobservice.jobs.leases import Renewal, release_jobs, renew_leases
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.outcomes import Outcome, StartedJob
from jobservice.jobs.record import record_outcomes
from jobservice.logs import log_event
from workers.board import Board
from workers.board_layout import Flag, JobState, Phase, Snapshot
from workers.fork_gate import between_forks, database_thread
from workers.held_jobs import Held, find_held_jobs, look_at_held
from workers.losses import NANOSECONDS, Culprit, Loss

LOOK_SECONDS = 1.0


class LeaseKeeper:
    """Start it after the pool; give it losses at any time."""

    def __init__(self, board: Board, *, lease_seconds: float) -> None:
        self._board = board
        self._lease_seconds = lease_seconds
        self._losses: deque[Loss] = deque()
        self._confirmed: dict[tuple[int, int], int] = {}
        self._renewed_ns = 0
        self._look_seconds = min(LOOK_SECONDS, lease_seconds / 6)
        self._wanted = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Write the losses that are still open, then end; waits at most `timeout` seconds."""
        self._is_stopping = True
        self._wanted.set()
        self._thread.join(timeout)

    def add_loss(self, loss: Loss) -> None:
        """Have a lost group written soon."""
        self._losses.append(loss)
        self._wanted.set()

    def confirmed_ns(self, snapshot: Snapshot) -> int:
        """When the group's leases were last known to be ours: its start, or the beginning of the last good renewal."""
        return self._confirmed.get((snapshot.seat, snapshot.sequence), snapshot.opened_ns)

    def _run(self) -> None:
        with database_thread():
            while not (self._is_stopping and not self._losses):
                self._wanted.wait(self._look_seconds)
                self._wanted.clear()
                try:
                    with between_forks():
                        self._settle_losses()
                        self._look_after_leases()
                except Exception as error:  # noqa: BLE001 (no fault may end the thread that keeps every lease)
                    log_event("lease_keeping_failed", level="warning", error_class=type(error).__name__)
                    if self._is_stopping:
                        return

    def _look_after_leases(self) -> None:
        worker_id = self._board.worker_id
        snapshots = [snapshot for snapshot in self._read_all() if snapshot.phase is Phase.RUNNING]
        self._confirmed = {key: at for key, at in self._confirmed.items() if key in _keys(snapshots)}
        refs = [job.ref for snapshot in snapshots for job in snapshot.jobs if job.state is not JobState.SETTLED]
        if worker_id is None or not refs:
            return
        asked_ns = time.monotonic_ns()
        # At the last look before a third of the lease is over, not at the first one after it.
        if asked_ns - self._renewed_ns < (self._lease_seconds / 3 - self._look_seconds) * NANOSECONDS:
            self._raise_flags(snapshots, look_at_held(refs, worker_id=worker_id))
            return
        crash_point("keeper.before_renew")
        renewal = renew_leases(refs, worker_id=worker_id, lease_seconds=self._lease_seconds)
        crash_point("keeper.renewed")
        self._renewed_ns = asked_ns
        self._confirmed.update(dict.fromkeys(_keys(snapshots), asked_ns))
        self._raise_flags(snapshots, renewal)

    def _raise_flags(self, snapshots: list[Snapshot], held: Held | Renewal) -> None:
        for snapshot in snapshots:
            for place, job in enumerate(snapshot.jobs):
                key = (job.ref.id, job.ref.epoch)
                if key in held.cancelled:
                    self._board.raise_flag(snapshot, place, Flag.CANCEL)
                elif key not in held.kept:
                    self._flag_lost(snapshot, place)

    def _flag_lost(self, snapshot: Snapshot, place: int) -> None:
        """Unless it ended: then it may be missing because it was written while we asked."""
        now = self._board.read(snapshot.seat)
        if now is None or now.sequence != snapshot.sequence:
            return
        job = now.jobs[place]
        if job.state in (JobState.WAITING, JobState.RUNNING) and not job.flags & Flag.LOST:
            self._board.raise_flag(now, place, Flag.LOST)
            names = {"tenant_id": job.ref.tenant_id, "job_id": job.ref.id, "epoch": job.ref.epoch}
            log_event("lease_lost", level="warning", pool="handlers", **names)

    def _settle_losses(self) -> None:
        while self._losses:
            loss = self._losses[0]
            worker_id = self._board.worker_id
            is_over = time.monotonic_ns() - loss.lost_ns > self._lease_seconds * NANOSECONDS
            # After a lease's time the reaper has counted them already.
            if worker_id is not None and not is_over:
                self._settle(loss, worker_id)
            self._losses.popleft()

    def _settle(self, loss: Loss, worker_id: UUID) -> None:
        crash_point("keeper.before_settle")
        try:
            held = {(job.job_id, job.epoch): job for job in find_held_jobs(loss.refs, worker_id=worker_id)}
            blamed = [culprit for culprit in loss.culprits if (culprit.ref.id, culprit.ref.epoch) in held]
            record_outcomes([_outcome(item, held[item.ref.id, item.ref.epoch], worker_id) for item in blamed])
            crash_point("keeper.blamed")
            released = release_jobs(loss.released, worker_id=worker_id) if loss.released else 0
        except Error:
            # The database is away: keep it, the next turn tries again.
            raise
        except Exception as error:  # noqa: BLE001 (it would come again for ever; the leases end by themselves)
            log_event("loss_dropped", level="error", lost=len(loss.refs), error_class=type(error).__name__)
            return
        log_event("group_lost", level="warning", count=len(blamed), kept=released)
        wake_dispatcher()

    def _read_all(self) -> list[Snapshot]:
        found = (self._board.read(index) for index in range(self._board.seats))
        return [snapshot for snapshot in found if snapshot is not None]


def _keys(snapshots: Iterable[Snapshot]) -> set[tuple[int, int]]:
    return {(snapshot.seat, snapshot.sequence) for snapshot in snapshots}


def _outcome(culprit: Culprit, job: StartedJob, worker_id: UUID) -> Outcome:
    return Outcome(
        job=job,
        kind=culprit.kind,
        worker_id=worker_id,
        started_at=job.started_at + timedelta(seconds=culprit.offset_seconds),
        duration_seconds=culprit.duration_seconds,
        error_code=culprit.kind,
        error_message=culprit.message,
    )
