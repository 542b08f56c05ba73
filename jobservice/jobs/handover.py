"""Hand over: a run whose endpoint will complete it later leaves the process that made the call.

Nobody renews its lease any more, which lasts as long as the attempt may; `completion.py` ends it, or the rescue does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.jobs.outcomes import StartedJob
from jobservice.jobs.settle import settle_without_outcome, tell_settled
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class Handover:
    """A run to hand over; `seconds_left` until the deadline that its endpoint was told."""

    job: StartedJob
    seconds_left: float


def hand_over_runs(handovers: Sequence[Handover], *, worker_id: UUID) -> int:
    """Hand over those that this worker still holds; the number. Repeated, it changes nothing.

    One that somebody asked to cancel meanwhile is cancelled. One that is not held any more is not touched: an endpoint
    that is quick has completed it before its own answer was read.
    """
    if not handovers:
        return 0
    with tenants_tx(item.job.tenant_id for item in handovers):
        rows = run_statement(_SQL / "hand_over_runs.sql", {**_arrays(handovers), "worker": worker_id})
        cancelled = settle_without_outcome(
            [row for row in rows if row.cancel_requested], kind_of=lambda _row: "cancelled"
        )
    for settled in cancelled:
        tell_settled(settled)
    held = {(row.job_id, row.epoch) for row in rows}
    for item in handovers:
        _tell(item.job, is_held=(item.job.job_id, item.job.epoch) in held)
    return len(rows) - len(cancelled)


def _tell(job: StartedJob, *, is_held: bool) -> None:
    names: dict[str, Any] = {
        "tenant_id": job.tenant_id,
        "job_id": job.job_id,
        "epoch": job.epoch,
        "attempt": job.attempt,
    }
    if is_held:
        log_event("run_handed_over", level="debug", **names)
    else:
        log_event("handover_lost", **names)


def _arrays(handovers: Sequence[Handover]) -> dict[str, Any]:
    return {
        "tenants": [item.job.tenant_id for item in handovers],
        "jobs": [item.job.job_id for item in handovers],
        "epochs": [item.job.epoch for item in handovers],
        "seconds": [item.seconds_left for item in handovers],
    }
