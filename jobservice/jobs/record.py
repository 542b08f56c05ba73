"""Record: what a run came to, written once, in groups, and only under the epoch that ran it.

1. Seal results and errors, and find the group of each error, before any transaction.
2. In one transaction: lock the live rows still executing under the outcome's epoch; decide what follows, by the clock
   of the database (those that somebody asked to cancel meanwhile are cancelled, whatever they came to); settle each
   (`settle.py`).
3. An outcome whose row is gone, or is under another epoch, is lost: nothing of it is written, and it is counted.
A group that fails is repeated one by one, so that a bad row hurts itself only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db import Error

from jobservice.crash_points import crash_point
from jobservice.database import is_database_away
from jobservice.errors import KeyProviderAway, SealingError, Unavailable
from jobservice.jobs.error_groups import SeenError, see_error
from jobservice.jobs.outcomes import Outcome, decide_next
from jobservice.jobs.settle import Key, Settlement, keys_of, names_of, settle_runs, tell_settled
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.blobs import SealedBlob, is_outdated, seal_blob
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class RecordReport:
    """How many outcomes were written, and those that came too late: somebody else owns these jobs now."""

    recorded: int
    lost: tuple[Outcome, ...]


def record_outcomes(outcomes: Sequence[Outcome]) -> RecordReport:
    """Write these outcomes. Raises an `Error` that `is_database_away` knows while the database is."""
    if not outcomes:
        return RecordReport(0, ())
    # Of a run that is named twice, its last word.
    sealed = list({item.key: item for item in map(_seal_safely, outcomes) if item is not None}.values())
    crash_point("record.sealed")
    try:
        written = _record_group(sealed)
    except Error as error:
        if is_database_away(error):
            raise
        log_event("record_group_failed", level="warning", count=len(sealed), error_class=type(error).__name__)
        written = _record_singly(sealed)
    lost = tuple(item.outcome for item in sealed if item.key not in written)
    for outcome in lost:
        log_event("stale_write_refused", level="warning", kind="job", **names_of(outcome))
    for item in written.values():
        tell_settled(item)
    return RecordReport(len(written), lost)


def settle_outcome(outcome: Outcome, row: Any) -> Settlement:
    """Settle one run by what it came to, in the caller's transaction, which has locked this live row of it."""
    item = _seal(outcome).settle(row)
    settle_runs([item], {item.key: row})
    return item


@dataclass(frozen=True, slots=True)
class _SealedOutcome:
    """An outcome, its result or error sealed: all that can be made before its live row is locked."""

    outcome: Outcome
    result: SealedBlob | None
    error: SealedBlob | None
    seen: SeenError | None = None

    @property
    def key(self) -> Key:
        return self.outcome.job.job_id, self.outcome.job.epoch

    def settle(self, row: Any) -> Settlement:
        """What follows, by the locked row. Of a job that somebody asked to cancel nothing that the run made is kept."""
        decision = decide_next(self.outcome, now=row.now, is_cancel_requested=row.cancel_requested)
        if row.cancel_requested:
            return Settlement(self.outcome, decision)
        return Settlement(self.outcome, decision, self.result, self.error, self.seen)

    def seal_again_if_outdated(self) -> _SealedOutcome:
        """The group may have waited, or be repeated, while the tenant's key was rotated."""
        try:
            is_old = any(is_outdated(blob) for blob in (self.result, self.error) if blob is not None)
            return _seal(self.outcome) if is_old else self
        except (SealingError, Unavailable):
            # Raised, it would undo what its neighbours in the group came to.
            return _release(self.outcome)


def _seal_safely(outcome: Outcome) -> _SealedOutcome | None:
    """None when it cannot be sealed (its tenant's key is gone, or under a root key that this process lacks).

    Then its lease will end, and its neighbours go on. While the root key is only out of reach, the job is given back.
    """
    try:
        return _seal_or_release(outcome)
    except (SealingError, Unavailable) as error:
        log_event("record_failed", level="error", **names_of(outcome), error_class=type(error).__name__)
        return None


def _seal_or_release(outcome: Outcome) -> _SealedOutcome:
    try:
        return _seal(outcome)
    except KeyProviderAway as error:
        log_event("record_released", level="error", **names_of(outcome), error_class=type(error).__name__)
        return _release(outcome)


def _release(outcome: Outcome) -> _SealedOutcome:
    """What cannot be sealed cannot be kept: the run is undone, uncounted, and nothing of it is to be sealed."""
    return _SealedOutcome(
        replace(outcome, kind="released", result=None, error_code=None, error_message=None), None, None
    )


def _seal(outcome: Outcome) -> _SealedOutcome:
    job = outcome.job
    result = error = None
    if outcome.kind == "completed":
        plaintext = outcome.result if outcome.result is not None else b"null"
        result = seal_blob(job.tenant_id, kind="result", plaintext=plaintext, epoch=job.epoch)
    elif outcome.error_message is not None:
        error = seal_blob(job.tenant_id, kind="error", plaintext=outcome.error_message.encode(), epoch=job.epoch)
    return _SealedOutcome(outcome, result, error, see_error(outcome))


def _record_singly(sealed: Sequence[_SealedOutcome]) -> dict[Key, Settlement]:
    written: dict[Key, Settlement] = {}
    for item in sealed:
        try:
            written |= _record_group([item])
        except Error as error:
            if is_database_away(error):
                raise
            # Its lease will end and the job will run again: an outcome that cannot be stored is a crash.
            log_event("record_failed", level="error", **names_of(item.outcome), error_class=type(error).__name__)
    return written


def _record_group(sealed: Sequence[_SealedOutcome]) -> dict[Key, Settlement]:
    """One transaction; what of the group was still held, as it is written now."""
    with tenants_tx(item.outcome.job.tenant_id for item in sealed):
        # The lock comes first and its rows in id order; from here on nobody else can move these jobs.
        rows = run_statement(_SQL / "lock_executing.sql", keys_of(sealed))
        crash_point("record.after_lock")
        held = {(row.job_id, row.epoch): row for row in rows}
        kept = [item.seal_again_if_outdated().settle(held[item.key]) for item in sealed if item.key in held]
        settle_runs(kept, held)
        crash_point("record.before_commit")
    crash_point("record.after_commit")
    return {item.key: item for item in kept}
