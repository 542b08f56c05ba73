"""A pool process without Celery, for tests: a forked child runs groups, and its parent watches it as a worker does."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections

from jobservice.crypto.message_mac import Ref
from jobservice.handlers import Job as RunningJob
from jobservice.handlers import handler
from jobservice.ids import new_id
from jobservice.jobs.models import Attempt, Job, LiveJob
from tenants.context import tenants_tx
from tests.workers.commits import every_connection_as_worker
from workers.board import Board
from workers.board_layout import JobState
from workers.executor import Executor
from workers.lease_keeper import LeaseKeeper
from workers.watchdog import Watchdog

Body = Callable[[Any, RunningJob], Any]
WORKER = new_id()
PATIENCE_SECONDS = 60.0

_bodies: dict[str, Body] = {}


@handler("forked")
def _run_forked(payload: Any, job: RunningJob) -> Any:
    return _bodies["forked"](payload, job)


class HandlerProcess:
    """`run` has a new child run a group, and returns when the child is gone and all is written."""

    def __init__(self, *, lease_seconds: float = 30.0) -> None:
        self.board = Board(seats=1, handlers=["echo", "forked"])
        self.board.worker_id = WORKER
        self._lease_seconds = lease_seconds

    def run(self, refs: Sequence[Ref], body: Body) -> None:
        """The jobs of type `forked` do what `body` says, in the child."""
        _bodies["forked"] = body
        keeper = LeaseKeeper(self.board, lease_seconds=self._lease_seconds)
        dog = Watchdog(self.board, keeper, lease_seconds=self._lease_seconds, stop_grace_seconds=5)
        # A connection is not shared with a child.
        connections.close_all()
        with every_connection_as_worker():
            connections.close_all()
            pid = os.fork()
            if pid == 0:
                self._live(refs)
            keeper.start()
            dog.start()
            try:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            finally:
                os.kill(pid, signal.SIGKILL)
                dog.stop(PATIENCE_SECONDS)
                keeper.stop(PATIENCE_SECONDS)
                os.waitpid(pid, 0)

    def await_settled(self, place: int) -> None:
        """In the child: until the outcome of this place is written."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            snapshot = self.board.read(0)
            if snapshot is not None and snapshot.jobs[place].state is JobState.SETTLED:
                return
            time.sleep(0.01)

    def _live(self, refs: Sequence[Ref]) -> None:
        # A crash is what the tests want; nobody reads of it.
        faulthandler.disable()
        try:
            seat = self.board.seat(0)
            seat.take(os.getpid())
            executor = Executor(seat, worker_id=lambda: WORKER, lease_seconds=self._lease_seconds)
            executor.run_group(refs)
            executor.stop()
        finally:
            os._exit(0)


def state_of(ref: Ref) -> str:
    """The state that the job is in, or ended in."""
    live = LiveJob.objects.filter(job_id=ref.id).first()
    return live.state if live else str(Job.objects.get(id=ref.id).final_state)


def crashes_of(ref: Ref) -> int:
    live = LiveJob.objects.filter(job_id=ref.id).first()
    return live.crash_count if live else Job.objects.get(id=ref.id).crash_count


def outcomes_of(ref: Ref) -> list[str]:
    """What its runs came to, the oldest first."""
    return list(Attempt.objects.filter(job_id=ref.id).order_by("id").values_list("outcome", flat=True))


def ask_to_cancel(ref: Ref) -> None:
    """In the child, whose connection is a worker's."""
    with tenants_tx([ref.tenant_id]):
        assert LiveJob.objects.filter(job_id=ref.id).update(cancel_requested=True) == 1


def has_log(ref: Ref) -> bool:
    """In the child: whether something of the run's log is written."""
    with tenants_tx([ref.tenant_id]):
        return LiveJob.objects.get(job_id=ref.id).log_id is not None
