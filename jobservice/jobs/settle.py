"""Settle: what follows a run is written, whoever found out that it is over: its worker, the watchdog or the rescue.

In the caller's transaction, which has locked the live rows in id order and seen that the runs are still held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import UUID

from jobservice.crash_points import crash_point
from jobservice.ids import new_id
from jobservice.jobs.ending import End, end_jobs
from jobservice.jobs.error_groups import FAILED_KINDS, SeenError, note_errors, see_error
from jobservice.jobs.job_search import read_job
from jobservice.jobs.limits import free_slots
from jobservice.jobs.outcomes import HoldReason, Next, Outcome, OutcomeKind, decide_next
from jobservice.jobs.representation import represent_job
from jobservice.jobs.runs import read_runs
from jobservice.jobs.states import FINAL_STATES
from jobservice.jobs.throttles import throttle_endpoints
from jobservice.jobs.usage import count_ended
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.event_types import RETRYING
from jobservice.webhooks.events import NewEvent, find_listening, insert_events
from tenants.blobs import SealedBlob, insert_blobs

_SQL = Path(__file__).resolve().parent / "sql"
SUSPENDED = "job.suspended"
CANCELLED: Literal["cancelled"] = "cancelled"
EXPIRED = "expired"

Key = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Settlement:
    """An outcome with all that its transaction writes."""

    outcome: Outcome
    next: Next
    result: SealedBlob | None = None
    error: SealedBlob | None = None
    seen: SeenError | None = None
    attempt_id: UUID = field(default_factory=new_id)
    event_id: UUID = field(default_factory=new_id)

    @property
    def key(self) -> Key:
        return self.outcome.job.job_id, self.outcome.job.epoch

    @property
    def attempt_outcome(self) -> OutcomeKind:
        """What the attempt's row says: a run that somebody asked to stop was cancelled, unless it crashed."""
        is_cut_short = self.next.state == CANCELLED and self.outcome.kind != "crashed"
        return "cancelled" if is_cut_short else self.outcome.kind

    @property
    def error_code(self) -> str | None:
        if self.next.state in ("completed", "cancelled"):
            return CANCELLED if self.next.state == CANCELLED else None
        return None if self.outcome.kind in ("released", "snoozed") else self.outcome.error_code or self.outcome.kind

    @property
    def error_group_id(self) -> UUID | None:
        return None if self.seen is None else self.seen.group_id

    @property
    def attempt_error_code(self) -> str | None:
        """What the attempt's row says: a cancelled run has an error only when it gave a reason."""
        has_none = self.attempt_outcome == CANCELLED and self.error is None
        return None if has_none else self.error_code


def settle_runs(settled: Sequence[Settlement], held: Mapping[Key, Any]) -> None:
    """Write attempts, sealed values, ends and returns. `held` are the locked rows of these runs, by their keys."""
    blobs = [blob for item in settled for blob in (item.result, item.error) if blob is not None]
    insert_blobs(blobs)
    note_errors([(item.outcome, item.seen) for item in settled if item.seen is not None])
    _insert_attempts(settled, held)
    ended = end_jobs([_end(item) for item in settled if item.next.state in FINAL_STATES], sources=["executing"])
    requeued = _requeue([item for item in settled if item.next.state not in FINAL_STATES])
    throttle_endpoints(item.outcome for item in settled)
    free_slots([*ended, *requeued], available=[row.lane_id for row in requeued if row.state == "available"])
    count_ended(ended, blobs)


def settle_without_outcome(
    rows: Sequence[Any], *, kind_of: Callable[[Any], OutcomeKind], hold_reason: HoldReason | None = None
) -> list[Settlement]:
    """Settle runs of which nothing came, by their locked live rows: given back, crashed, or not completed in time.

    Nothing is sealed, so any role can do it: the code says it all.
    """
    held = {(row.job_id, row.epoch): row for row in rows}
    settled = []
    for job in read_runs(rows):
        row = held[job.job_id, job.epoch]
        kind = kind_of(row)
        outcome = Outcome(
            job=job,
            kind=kind,
            worker_id=row.worker_id,
            started_at=row.started_at,
            duration_seconds=max(0.0, (row.now - row.started_at).total_seconds()),
            error_code=None if kind == "released" else kind,
            hold_reason=hold_reason,
        )
        decision = decide_next(outcome, now=row.now, is_cancel_requested=row.cancel_requested)
        seen = None if row.cancel_requested else see_error(outcome)
        settled.append(Settlement(outcome, decision, seen=seen))
    settle_runs(settled, held)
    return settled


def tell_settled(item: Settlement) -> None:
    """The events of a run that is written, after the commit."""
    outcome, state = item.outcome, item.next.state
    told = {**names_of(outcome), "executor": outcome.job.executor, "outcome": item.attempt_outcome, "state": state}
    told |= {"code": item.error_code, "duration_ms": round(outcome.duration_seconds * 1000, 1)}
    log_event("run_recorded", level="debug", **told)
    if state in FINAL_STATES:
        log_event("job_ended", **told)
    elif state == "suspended":
        # A third crash is for the operator to look at; of a type that is switched off, the switch was told.
        level = "warning" if item.next.hold_reason == "crashes" else "info"
        log_event("job_suspended", level=level, **names_of(outcome), reason=item.next.hold_reason)


def names_of(outcome: Outcome) -> dict[str, Any]:
    """What an event says about which run it is of."""
    job = outcome.job
    return {"tenant_id": job.tenant_id, "job_id": job.job_id, "epoch": job.epoch, "attempt": job.attempt}


class OfRun(Protocol):
    """What belongs to one run."""

    @property
    def outcome(self) -> Outcome: ...


def keys_of(items: Sequence[OfRun]) -> dict[str, Any]:
    """The runs' names as the statements take them."""
    jobs = [item.outcome.job for item in items]
    return {
        "tenants": [job.tenant_id for job in jobs],
        "jobs": [job.job_id for job in jobs],
        "epochs": [job.epoch for job in jobs],
    }


def _insert_attempts(settled: Sequence[Settlement], held: Mapping[Key, Any]) -> None:
    if not settled:
        return
    rows = [held[item.key] for item in settled]
    run_statement(
        _SQL / "insert_attempts.sql",
        {
            **keys_of(settled),
            "ids": [item.attempt_id for item in settled],
            "numbers": [item.outcome.job.attempt for item in settled],
            "workers": [item.outcome.worker_id for item in settled],
            "started": [item.outcome.started_at for item in settled],
            "finished": [item.outcome.finished_at for item in settled],
            "outcomes": [item.attempt_outcome for item in settled],
            "error_codes": [item.attempt_error_code for item in settled],
            "errors": [item.error.id if item.error else None for item in settled],
            "results": [item.result.id if item.result else None for item in settled],
            "percents": [row.progress_percent for row in rows],
            "progress": [row.progress_id for row in rows],
            "logs": [row.log_id for row in rows],
        },
    )


def _end(item: Settlement) -> End:
    outcome = item.outcome
    assert item.next.state in FINAL_STATES  # noqa: S101 (only such are passed; for the type checker)
    return End(
        tenant_id=outcome.job.tenant_id,
        job_id=outcome.job.job_id,
        epoch=outcome.job.epoch,
        state=item.next.state,
        last_started_at=outcome.started_at,
        finished_at=outcome.finished_at,
        crashes=int(outcome.kind == "crashed"),
        result_id=item.result.id if item.result else None,
        error_code=item.error_code,
        error_id=item.error.id if item.error else None,
        error_group_id=item.error_group_id,
        event_id=item.event_id,
    )


def _requeue(waiting: Sequence[Settlement]) -> list[Any]:
    if not waiting:
        return []
    rows = run_statement(
        _SQL / "requeue_jobs.sql",
        {
            **keys_of(waiting),
            "states": [item.next.state for item in waiting],
            "delays": [float(item.next.delay_seconds) for item in waiting],
            "crashes": [int(item.outcome.kind == "crashed") for item in waiting],
            "attempts": [-int(item.outcome.kind in ("released", "snoozed")) for item in waiting],
            "epochs_spent": [int(item.outcome.kind in ("released", "crashed")) for item in waiting],
            "reasons": [item.next.hold_reason for item in waiting],
            "error_codes": [item.error_code for item in waiting],
            "errors": [item.error.id if item.error else None for item in waiting],
            "error_groups": [item.error_group_id for item in waiting],
        },
    )
    _note_retries([item.outcome for item in waiting if item.outcome.kind in FAILED_KINDS])
    crash_point("record.requeued")
    insert_events([_suspension(item) for item in waiting if item.next.state == "suspended"])
    insert_events(_retries([item for item in waiting if item.next.state == "retryable"]))
    return rows


def _note_retries(failed: Sequence[Outcome]) -> None:
    if not failed:
        return
    run_statement(
        _SQL / "note_retries.sql",
        {
            "tenants": [outcome.job.tenant_id for outcome in failed],
            "queues": [outcome.job.queue for outcome in failed],
            "types": [outcome.job.type for outcome in failed],
            "started": [outcome.started_at for outcome in failed],
            "finished": [outcome.finished_at for outcome in failed],
        },
    )


def _retries(failed: Sequence[Settlement]) -> list[NewEvent]:
    """Told only where an endpoint wants to know: the attempt's own row says the same."""
    if not failed:
        return []
    tenants = find_listening([item.outcome.job.tenant_id for item in failed], RETRYING)
    return [
        _story(item, RETRYING, {"retry_in_seconds": round(item.next.delay_seconds, 3)})
        for item in failed
        if item.outcome.job.tenant_id in tenants
    ]


def _suspension(item: Settlement) -> NewEvent:
    """For the timeline: the job is held, and why."""
    return _story(item, SUSPENDED, {"reason": item.next.hold_reason})


def _story(item: Settlement, type_: str, details: dict[str, Any]) -> NewEvent:
    """The job as it is now. Seldom, hence a read for each."""
    job = item.outcome.job
    row = read_job(job.tenant_id, job.job_id)
    assert row is not None  # noqa: S101 (its live row is locked here; for the type checker)
    return NewEvent(
        id=item.event_id,
        tenant_id=job.tenant_id,
        job_id=job.job_id,
        type=type_,
        job=represent_job(row),
        epoch=job.epoch,
        result_id=None,
        error_id=item.error.id if item.error else None,
        metadata_id=None,
        callback_id=None,
        details=details,
    )
