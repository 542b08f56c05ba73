"""A worker's right to run jobs: the fenced start of a group, its renewal, and giving jobs back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import Error

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.database import give_back_connection
from jobservice.jobs.outcomes import HoldReason, StartedJob
from jobservice.jobs.runs import run_from
from jobservice.jobs.settle import settle_without_outcome, tell_settled
from jobservice.jobs.unique_claims import release_started
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a heartbeat learned: jobs still ours, and those of them that somebody asked to cancel."""

    kept: frozenset[tuple[UUID, int]]
    cancelled: frozenset[tuple[UUID, int]]


def start_jobs(refs: Sequence[Ref], *, worker_id: UUID, group_id: UUID, lease_seconds: float) -> list[StartedJob]:
    """Start the group: jobs still dispatched under the epoch the message names, each once, in the message's order.

    The others were cancelled, taken back or already started; the message is a hint and they are simply left out.
    One transaction; `started_at` of each is the database's clock.
    """
    try:
        rows = _start(refs, {"worker": worker_id, "group": group_id, "lease_seconds": lease_seconds})
    except Error:
        _undo_start(refs, worker_id=worker_id, group_id=group_id)
        raise
    crash_point("start.after_commit")
    jobs = {(row.job_id, row.epoch): run_from(row, sealed_payload=bytes(row.sealed_payload)) for row in rows}
    for job in jobs.values():
        _tell_started(job)
    tell_refused("start", refs, kept=jobs)
    return [jobs[key] for key in dict.fromkeys((ref.id, ref.epoch) for ref in refs) if key in jobs]


def _start(refs: Sequence[Ref], holder: dict[str, Any]) -> list[Any]:
    with tenants_tx(ref.tenant_id for ref in refs):
        started = run_statement(_SQL / "start_jobs.sql", {**_arrays(refs), **holder})
        crash_point("start.before_commit")
        ours = {"tenants": [row.tenant_id for row in started], "jobs": [row.job_id for row in started]}
        rows = run_statement(_SQL / "read_started_jobs.sql", ours) if started else []
        release_started(rows)
        return rows


def _undo_start(refs: Sequence[Ref], *, worker_id: UUID, group_id: UUID) -> None:
    """Give back what the server committed though its answer was lost: nobody runs it, and as a crash it would count.

    Of this very start only: another one of the same message may have been told, and runs them.
    """
    try:
        give_back_connection()
        with tenants_tx(ref.tenant_id for ref in refs):
            rows = run_statement(_SQL / "lock_executing.sql", _arrays(list(dict.fromkeys(refs))))
            ours = [row for row in rows if (row.worker_id, row.group_id) == (worker_id, group_id)]
            settled = settle_without_outcome(ours, kind_of=lambda _row: "released")
    except Error as error:
        # The leases end by themselves.
        log_event("release_failed", level="warning", count=len(refs), error_class=type(error).__name__)
        return
    for item in settled:
        tell_settled(item)


def renew_leases(refs: Sequence[Ref], *, worker_id: UUID, lease_seconds: float) -> Renewal:
    """Prolong the leases this worker still holds. A job missing from `kept` belongs to somebody else: stop it."""
    with tenants_tx(ref.tenant_id for ref in refs):
        rows = run_statement(
            _SQL / "renew_leases.sql", {**_arrays(refs), "worker": worker_id, "lease_seconds": lease_seconds}
        )
    kept = frozenset((row.job_id, row.epoch) for row in rows)
    tell_refused("renewal", refs, kept=kept)
    return Renewal(
        kept=kept,
        cancelled=frozenset((row.job_id, row.epoch) for row in rows if row.cancel_requested),
    )


def release_jobs(refs: Sequence[Ref], *, worker_id: UUID, hold_reason: HoldReason | None = None) -> int:
    """Give started jobs back: available at once, a new epoch, no attempt counted. The number given.

    With a `hold_reason` they are held instead; those that somebody asked to cancel are cancelled.
    """
    with tenants_tx(ref.tenant_id for ref in refs):
        # Each once, for a run that is named twice is over once.
        rows = run_statement(_SQL / "lock_executing.sql", _arrays(list(dict.fromkeys(refs))))
        ours = [row for row in rows if row.worker_id == worker_id and not row.is_async]
        settled = settle_without_outcome(ours, kind_of=lambda _row: "released", hold_reason=hold_reason)
        crash_point("release.before_commit")
    crash_point("release.after_commit")
    for item in settled:
        tell_settled(item)
    tell_refused("release", refs, kept={(row.job_id, row.epoch) for row in rows if row.worker_id == worker_id})
    return len(settled)


def tell_refused(kind: str, refs: Sequence[Ref], *, kept: Collection[tuple[UUID, int]]) -> None:
    """Count and tell, after the commit, those of these claims that are somebody else's by now, or nobody's.

    No warning: a message may come twice, and a heartbeat ask for what was written meanwhile. Whoever must stop a run
    for it tells that itself.
    """
    for ref in refs:
        if (ref.id, ref.epoch) not in kept:
            names = {"tenant_id": ref.tenant_id, "job_id": ref.id, "epoch": ref.epoch}
            log_event("stale_write_refused", level="debug", kind=kind, **names)


def _tell_started(job: StartedJob) -> None:
    """The wait is that of the first start: later ones begin when their backoff says so."""
    wait = max(0.0, (job.started_at - job.run_at).total_seconds()) if job.attempt == 1 else None
    log_event(
        "job_started",
        level="debug",
        tenant_id=job.tenant_id,
        job_id=job.job_id,
        epoch=job.epoch,
        attempt=job.attempt,
        executor=job.executor,
        wait_ms=None if wait is None else round(wait * 1000, 1),
    )


def _arrays(refs: Sequence[Ref]) -> dict[str, Any]:
    return {
        "tenants": [ref.tenant_id for ref in refs],
        "jobs": [ref.id for ref in refs],
        "epochs": [ref.epoch for ref in refs],
    }
