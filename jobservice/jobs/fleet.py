"""The workers that are alive, what each can take, and the credits that follow from it.

Slots in use are counted from the rows of the jobs themselves, so nothing can leak. A worker that has not been seen for
a while is taken for dead; its leases end by themselves.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.ids import new_id
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
VERSION = "0.1.0"
SILENT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """A pool right now: the slots of its live workers, those in use, and jobs claimed but not started."""

    slots: int
    busy_slots: int
    dispatched: int
    jobs_per_slot: int
    run_times: Mapping[str, float]
    workers: int = 0

    @property
    def credits(self) -> int:
        """How many more jobs may be claimed: about twice what the free slots take at once.

        While jobs are short, one more group waits behind each busy slot, so that it need not wait for us; a long job
        gets nobody queued behind it. Nothing is claimed while two messages, were they of one job each, wait for every
        slot: what comes in then gathers into larger groups, instead of into a line of small ones.
        """
        if self.dispatched >= 2 * self.slots:
            return 0
        free = max(0, self.slots - self.busy_slots)
        ahead = min(self.busy_slots, self.slots) if self.jobs_per_slot > 1 else 0
        return max(0, (2 * free + ahead) * self.jobs_per_slot - self.dispatched)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the dispatcher must know before a round. Seconds until something is due; None for never."""

    capacities: Mapping[str, Capacity]
    job_due_seconds: float | None
    delivery_due_seconds: float | None
    token_due_seconds: float | None = None

    @property
    def has_due_jobs(self) -> bool:
        """Whether a scheduled or retryable job's time has come."""
        return self.job_due_seconds is not None and self.job_due_seconds <= 0

    @property
    def has_due_deliveries(self) -> bool:
        """Whether the time has come for another try of a delivery."""
        return self.delivery_due_seconds is not None and self.delivery_due_seconds <= 0

    @property
    def has_due_tokens(self) -> bool:
        """Whether a lane that waits for its queue's rate may be served again."""
        return self.token_due_seconds is not None and self.token_due_seconds <= 0

    def rest_seconds(self, *, most: float) -> float:
        """How long the dispatcher may rest after the round; 0 when the next due time is not known yet."""
        times = [self.job_due_seconds, self.token_due_seconds, self.delivery_due_seconds]
        return max(0.0, min([most, *(at for at in times if at is not None)]))


def register_worker(*, pool: str, slots: int) -> UUID:
    """Announce a process that takes work of this pool; its id names it in leases and attempts."""
    worker_id = new_id()
    parameters = {
        "id": worker_id,
        "pool": pool,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": VERSION,
        "slots": slots,
    }
    run_statement(_SQL / "register_worker.sql", parameters)
    return worker_id


def beat_worker(
    worker_id: UUID,
    *,
    slots: int,
    jobs_per_slot: int,
    run_times: Mapping[str, float],
    is_draining: bool,
    busy_slots: int | None = None,
) -> bool:
    """Say that the worker lives and what it can take. False when its row is gone: register again.

    `busy_slots` is for people to see, and None for not known.
    """
    parameters = {
        "id": worker_id,
        "slots": slots,
        "jobs_per_slot": jobs_per_slot,
        "run_times": json.dumps(dict(run_times)),
        "is_draining": is_draining,
        "busy_slots": busy_slots,
    }
    return bool(run_statement(_SQL / "beat_worker.sql", parameters))


def deregister_worker(worker_id: UUID) -> None:
    """The process ends."""
    run_statement(_SQL / "deregister_worker.sql", {"id": worker_id})


def survey() -> Survey:
    """What every pool can take and when something is due next, in one statement. Run by the dispatcher."""
    rows = run_statement(_SQL / "survey.sql", {"silent_seconds": SILENT_SECONDS})
    return Survey(
        capacities={row.pool: _capacity(row) for row in rows},
        job_due_seconds=rows[0].job_due_seconds,
        delivery_due_seconds=rows[0].delivery_due_seconds,
        token_due_seconds=rows[0].token_due_seconds,
    )


def forget_silent_workers(*, after_seconds: float = 3600.0) -> int:
    """Remove the rows of processes that ended without a word long ago."""
    return len(run_statement(_SQL / "forget_workers.sql", {"after_seconds": after_seconds}))


def _capacity(row: Any) -> Capacity:
    run_times: dict[str, float] = {}
    for reported in row.run_times:
        # The slowest word counts: a handler is short only if every worker found it short.
        run_times |= {name: max(ms, run_times.get(name, 0.0)) for name, ms in reported.items()}
    return Capacity(row.slots, row.busy_slots, row.dispatched, row.jobs_per_slot, run_times, row.workers)
