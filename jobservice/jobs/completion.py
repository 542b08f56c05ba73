"""Complete: an endpoint that answered "later" says what its run came to, or that it is still at work and how far.

1. Lock the live row: the run must still be under way under the epoch of the token, whether the endpoint's first answer
   has been read yet or not. Whoever comes second, a rescue or another completion, finds nothing.
2. Settle the run as a worker's outcome is; one that somebody asked to cancel is cancelled, whatever it came to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from jobservice import ids
from jobservice.errors import ClaimLost, Fault, Invalid, SealingError
from jobservice.field_checks import Fields
from jobservice.jobs.completion_token import RunRef
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.outcomes import (
    RESULT_LIMIT_BYTES,
    RETRY_AFTER_LIMIT_SECONDS,
    SNOOZE_LIMIT_SECONDS,
    OutcomeKind,
    StartedJob,
    Verdict,
    make_outcome,
)
from jobservice.jobs.record import settle_outcome
from jobservice.jobs.reports import MESSAGE_CHARACTERS, Progress, ReportingRun, write_report
from jobservice.jobs.runs import read_runs
from jobservice.jobs.settle import tell_settled
from jobservice.statements import run_statement
from tenants.context import tenant_tx
from tenants.data_keys import tenant_keys

_SQL = Path(__file__).resolve().parent / "sql"
OUTCOMES: tuple[OutcomeKind, ...] = ("completed", "failed", "snoozed", "cancelled")
MAX_MESSAGE_CHARACTERS = 4000
MAX_EXTENSION_SECONDS = 86_400
# Which members each outcome may have.
_OF_OUTCOME = {
    "result": "completed",
    "error": "failed",
    "permanent": "failed",
    "retry_after_seconds": "failed",
    "snooze_seconds": "snoozed",
}
_FIELDS = frozenset({"outcome", *_OF_OUTCOME})


@dataclass(frozen=True, slots=True)
class Extension:
    """How long the endpoint has the run now, and whether somebody asked to cancel the job."""

    lease_expires_at: datetime
    is_cancel_requested: bool


def parse_completion(raw: object) -> Verdict:
    """The completion in a parsed JSON body. Raises `Invalid` with every fault."""
    fields = _fields_of(raw, known=_FIELDS)
    fields.require("outcome")
    kind = fields.choice("outcome", OUTCOMES)
    for name, outcome in _OF_OUTCOME.items():
        if kind is not None and kind != outcome and fields.raw.get(name) is not None:
            fields.refuse(name, "conflicting-fields", f"{name} is for the outcome {outcome} only.")
    if kind == "snoozed":
        fields.require("snooze_seconds")
    code, message = _read_error(fields)
    verdict = Verdict(
        # One of OUTCOMES; without any there are faults to raise.
        kind=cast(OutcomeKind, kind),
        result=_read_result(fields),
        error_code=code,
        error_message=message,
        is_permanent=fields.boolean("permanent") or False,
        retry_after_seconds=fields.integer("retry_after_seconds", low=0, high=int(RETRY_AFTER_LIMIT_SECONDS)),
        snooze_seconds=fields.integer("snooze_seconds", low=1, high=int(SNOOZE_LIMIT_SECONDS)),
    )
    if fields.faults:
        raise Invalid(fields.faults)
    return verdict


def parse_extension(raw: object) -> int:
    """The seconds that a parsed JSON body asks for. Raises `Invalid`."""
    fields = _fields_of(raw, known=frozenset({"seconds"}))
    fields.require("seconds")
    seconds = fields.integer("seconds", low=1, high=MAX_EXTENSION_SECONDS)
    if fields.faults or seconds is None:
        raise Invalid(fields.faults)
    return seconds


def parse_progress(raw: object) -> Progress:
    """The progress in a parsed JSON body. Raises `Invalid`."""
    fields = _fields_of(raw, known=frozenset({"percent", "message"}))
    fields.require("percent")
    percent = fields.number("percent", low=0, high=100)
    message = fields.text("message", max_characters=MESSAGE_CHARACTERS)
    if fields.faults or percent is None:
        raise Invalid(fields.faults)
    return Progress(percent, message)


def complete_run(run: RunRef, verdict: Verdict) -> dict[str, Any]:
    """End the run; the job's id and its state from now on. Raises `ClaimLost` when the run is over."""
    _load_keys(run)
    with tenant_tx(run.tenant_id):
        row, job = _lock_run(run)
        seconds = max(0.0, (row.now - row.started_at).total_seconds())
        outcome = make_outcome(
            job, verdict, worker_id=row.worker_id, started_at=row.started_at, duration_seconds=seconds
        )
        settled = settle_outcome(outcome, row)
    tell_settled(settled)
    wake_dispatcher()
    return {"id": ids.show_id(ids.JOB, run.job_id), "state": settled.next.state}


def extend_run(run: RunRef, seconds: int) -> Extension:
    """Prolong the lease until so many seconds from now; it is never shortened. Raises `ClaimLost`."""
    with tenant_tx(run.tenant_id):
        _, job = _lock_run(run)
        parameters = {**_names(run), "seconds": seconds, "timeout_seconds": job.timeout_seconds}
        (row,) = run_statement(_SQL / "extend_lease.sql", parameters)
    return Extension(row.lease_until, row.cancel_requested)


def report_progress(run: RunRef, progress: Progress) -> bool:
    """Note how far the run is; whether somebody asked to cancel its job. Raises `ClaimLost`."""
    _load_keys(run)
    with tenant_tx(run.tenant_id):
        row, _ = _lock_run(run)
        write_report(ReportingRun(run.tenant_id, run.job_id, run.epoch), progress=progress)
    return bool(row.cancel_requested)


def _load_keys(run: RunRef) -> None:
    """Before the transaction that seals."""
    try:
        tenant_keys(run.tenant_id)
    except SealingError:
        raise ClaimLost("The run is over: its tenant was erased.") from None


def _lock_run(run: RunRef) -> tuple[Any, StartedJob]:
    refs = {"tenants": [run.tenant_id], "jobs": [run.job_id], "epochs": [run.epoch]}
    rows = run_statement(_SQL / "lock_executing.sql", refs)
    if not rows:
        raise ClaimLost("The run is over: it was completed before, its time was up, or its job was cancelled.")
    (job,) = read_runs(rows)
    return rows[0], job


def _names(run: RunRef) -> dict[str, Any]:
    return {"tenant": run.tenant_id, "job": run.job_id, "epoch": run.epoch}


def _fields_of(raw: object, *, known: frozenset[str]) -> Fields:
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=known)
    return fields


def _read_result(fields: Fields) -> bytes | None:
    result = fields.json("result")
    if result is not None and len(result) > RESULT_LIMIT_BYTES:
        fields.refuse("result", "too-long", f"A result may have at most {RESULT_LIMIT_BYTES} bytes of JSON.")
        return None
    return result


def _read_error(fields: Fields) -> tuple[str | None, str | None]:
    error = fields.fields("error")
    if error is None:
        return None, None
    error.refuse_others(known=frozenset({"code", "message"}))
    error.require("code")
    return error.name("code"), error.text("message", max_characters=MAX_MESSAGE_CHARACTERS)
