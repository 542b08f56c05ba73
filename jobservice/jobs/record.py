"""Record: what a run came to, written once, in groups, and only under the epoch that ran it.

1. Decide what happens next (pure) and seal results and errors, before any transaction.
2. In one transaction: lock the live rows still executing under the outcome's epoch; end or requeue each; write its
   sealed values, its attempt and, when it is over, its one event with the delivery to its callback.
3. An outcome whose row is gone, or is under another epoch, is lost: nothing of it is written, and it is counted.
A group that fails is repeated one by one, so that a bad row hurts itself only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError, transaction

from jobservice.errors import SealingError, Unavailable
from jobservice.ids import new_id
from jobservice.jobs.lanes import activate_lanes
from jobservice.jobs.notifier import wake_waiters
from jobservice.jobs.outcomes import Next, Outcome, decide_next
from jobservice.jobs.representation import represent_job
from jobservice.jobs.states import FINAL_STATES
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.events import NewEvent, insert_events
from tenants.blobs import SealedBlob, insert_blobs, is_outdated, seal_blob
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class RecordReport:
    """How many outcomes were written, and those that came too late: somebody else owns these jobs now."""

    recorded: int
    lost: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class _Decided:
    """An outcome with all that its transaction writes, so that a repeated try writes the same."""

    outcome: Outcome
    next: Next
    result: SealedBlob | None
    error: SealedBlob | None
    attempt_id: UUID = field(default_factory=new_id)
    event_id: UUID = field(default_factory=new_id)

    @property
    def key(self) -> tuple[UUID, int]:
        return self.outcome.job.job_id, self.outcome.job.epoch


def record_outcomes(outcomes: Sequence[Outcome]) -> RecordReport:
    """Write these outcomes. Raises `django.db.OperationalError` or `InterfaceError` when the database is away."""
    if not outcomes:
        return RecordReport(0, ())
    decided = [item for item in map(_decide_safely, outcomes) if item is not None]
    try:
        held = _record_group(decided)
    except (OperationalError, InterfaceError):
        raise
    except Error as error:
        log_event("record_group_failed", level="warning", count=len(decided), error_class=type(error).__name__)
        held = _record_singly(decided)
    lost = tuple(item.outcome for item in decided if item.key not in held)
    for item in decided:
        if item.key in held:
            _tell_recorded(item)
        else:
            log_event("stale_write_refused", level="warning", kind="job", **_names(item.outcome))
    return RecordReport(len(decided) - len(lost), lost)


def _tell_recorded(item: _Decided) -> None:
    outcome, state = item.outcome, item.next.state
    told = {**_names(outcome), "executor": outcome.job.executor, "outcome": outcome.kind, "state": state}
    told |= {"code": _error_code(item), "duration_ms": round(outcome.duration_seconds * 1000, 1)}
    log_event("run_recorded", level="debug", **told)
    if state in FINAL_STATES:
        log_event("job_ended", **told)
    elif state == "suspended":
        log_event("job_suspended", level="warning", **_names(outcome))


def _names(outcome: Outcome) -> dict[str, Any]:
    """What an event says about which run it is of."""
    job = outcome.job
    return {"tenant_id": job.tenant_id, "job_id": job.job_id, "epoch": job.epoch, "attempt": job.attempt}


def _decide_safely(outcome: Outcome) -> _Decided | None:
    """None when it cannot be sealed (its tenant's key is gone, or under a root key that this process lacks).

    Then its lease will end, and its neighbours go on.
    """
    try:
        return _decide(outcome)
    except (SealingError, Unavailable) as error:
        log_event("record_failed", level="error", **_names(outcome), error_class=type(error).__name__)
        return None


def _decide(outcome: Outcome) -> _Decided:
    decision = decide_next(outcome, now=datetime.now(UTC))
    result, error = _seal(outcome, decision)
    return _Decided(outcome, decision, result, error)


def _seal(outcome: Outcome, decision: Next) -> tuple[SealedBlob | None, SealedBlob | None]:
    """The sealed result, or the sealed error."""
    job = outcome.job
    if decision.state == "completed":
        plaintext = outcome.result if outcome.result is not None else b"null"
        return seal_blob(job.tenant_id, kind="result", plaintext=plaintext, epoch=job.epoch), None
    if outcome.error_message is None:
        return None, None
    return None, seal_blob(job.tenant_id, kind="error", plaintext=outcome.error_message.encode(), epoch=job.epoch)


def _seal_again_if_outdated(item: _Decided) -> _Decided:
    """The group may have waited, or be repeated, while the tenant's key was rotated."""
    if not any(is_outdated(blob) for blob in (item.result, item.error) if blob is not None):
        return item
    result, error = _seal(item.outcome, item.next)
    return replace(item, result=result, error=error)


def _record_singly(decided: Sequence[_Decided]) -> set[tuple[UUID, int]]:
    held: set[tuple[UUID, int]] = set()
    for item in decided:
        try:
            held |= _record_group([item])
        except (OperationalError, InterfaceError):
            raise
        except Error as error:
            # Its lease will end and the job will run again: an outcome that cannot be stored is a crash.
            log_event("record_failed", level="error", **_names(item.outcome), error_class=type(error).__name__)
    return held


def _record_group(decided: Sequence[_Decided]) -> set[tuple[UUID, int]]:
    """One transaction; the keys of the outcomes that were still held and are written now."""
    with tenants_tx(item.outcome.job.tenant_id for item in decided):
        # The lock comes first and its rows in id order; from here on nobody else can move these jobs.
        rows = run_statement(_SQL / "lock_executing.sql", _keys(decided))
        held = {(row.job_id, row.epoch): row for row in rows}
        kept = [_seal_again_if_outdated(item) for item in decided if item.key in held]
        ended = [item for item in kept if item.next.state in FINAL_STATES]
        waiting = [item for item in kept if item.next.state not in FINAL_STATES]
        insert_blobs([blob for item in kept for blob in (item.result, item.error) if blob is not None])
        _insert_attempts(kept)
        if ended:
            _end_jobs(ended, held)
        if waiting:
            _requeue_jobs(waiting)
    return set(held)


def _end_jobs(ended: Sequence[_Decided], held: dict[tuple[UUID, int], Any]) -> None:
    rows = run_statement(_SQL / "end_jobs.sql", _end_columns(ended))
    facts = {row.id: row for row in rows}
    transaction.on_commit(wake_waiters)
    insert_events([_event(item, facts[item.outcome.job.job_id]) for item in ended])


def _end_columns(ended: Sequence[_Decided]) -> dict[str, Any]:
    return {
        **_keys(ended),
        "states": [item.next.state for item in ended],
        "last_started": [item.outcome.started_at for item in ended],
        "finished": [item.outcome.finished_at for item in ended],
        "results": [item.result.id if item.result else None for item in ended],
        "error_codes": [_error_code(item) for item in ended],
        "errors": [item.error.id if item.error else None for item in ended],
        "events": [item.event_id for item in ended],
    }


def _requeue_jobs(waiting: Sequence[_Decided]) -> None:
    rows = run_statement(
        _SQL / "requeue_jobs.sql",
        {
            **_keys(waiting),
            "states": [item.next.state for item in waiting],
            "delays": [float(item.next.delay_seconds) for item in waiting],
            "crashes": [int(item.outcome.kind == "crashed") for item in waiting],
            "error_codes": [_error_code(item) for item in waiting],
            "errors": [item.error.id if item.error else None for item in waiting],
        },
    )
    activate_lanes(row.lane_id for row in rows if row.state == "available")


def _insert_attempts(kept: Sequence[_Decided]) -> None:
    if not kept:
        return
    run_statement(
        _SQL / "insert_attempts.sql",
        {
            **_keys(kept),
            "ids": [item.attempt_id for item in kept],
            "numbers": [item.outcome.job.attempt for item in kept],
            "workers": [item.outcome.worker_id for item in kept],
            "started": [item.outcome.started_at for item in kept],
            "finished": [item.outcome.finished_at for item in kept],
            "outcomes": [item.outcome.kind for item in kept],
            "error_codes": [_error_code(item) for item in kept],
            "errors": [item.error.id if item.error else None for item in kept],
            "results": [item.result.id if item.result else None for item in kept],
        },
    )


def _event(item: _Decided, row: Any) -> NewEvent:
    facts: Any = SimpleNamespace(**row._asdict(), state=row.final_state, cancel_requested=False)
    return NewEvent(
        id=item.event_id,
        tenant_id=row.tenant_id,
        job_id=row.id,
        type=f"job.{row.final_state}",
        job=represent_job(facts),
        epoch=row.epoch,
        result_id=row.result_id,
        error_id=row.error_id,
        metadata_id=row.metadata_id,
        callback_id=row.callback_id,
    )


def _error_code(item: _Decided) -> str | None:
    return None if item.next.state == "completed" else item.outcome.error_code or item.outcome.kind


def _keys(decided: Sequence[_Decided]) -> dict[str, Any]:
    jobs = [item.outcome.job for item in decided]
    return {
        "tenants": [job.tenant_id for job in jobs],
        "jobs": [job.job_id for job in jobs],
        "epochs": [job.epoch for job in jobs],
    }
