"""Errors of runs in groups of the same fingerprint: what the transaction that ends a failed run adds to them.

1. The worker, which has the text in the clear, makes the fingerprint (`error_fingerprints.py`) and seals the text of a
   group that this process has not seen lately.
2. In the run's transaction: a group that is not there yet is inserted with its text, and the failed runs are added to
   `error_delta`, one row for each group. Nobody updates a group here, so runs that fail alike do not wait for each
   other.
3. The dispatcher folds the deltas into groups and their counts (`statistics.py`).
A group is of failed runs, not of jobs: a job that fails three times is three runs. A run that was cancelled, released
or snoozed has not failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction

from jobservice.jobs.error_fingerprints import fingerprint_code, fingerprint_message
from jobservice.jobs.outcomes import Outcome
from jobservice.statements import run_statement
from tenants.data_keys import seal_column, tenant_keys

TABLE, COLUMN = "error_group", "message_sealed"
FAILED_KINDS = frozenset({"failed", "timed-out", "crashed"})
MAX_MESSAGE_CHARACTERS = 2000
# A group that was seen within this time has its row; a pruned one has not been seen for far longer.
_KNOWN_SECONDS = 60.0
_KNOWN_LIMIT = 10_000
_SQL = Path(__file__).resolve().parent / "sql"

_known: dict[tuple[UUID, UUID], float] = {}


@dataclass(frozen=True, slots=True)
class SeenError:
    """The error of one run: its group, and the sealed text when the group may be new."""

    group_id: UUID
    code: str
    sealed: bytes | None = field(default=None, repr=False)


def see_error(outcome: Outcome) -> SeenError | None:
    """The error of a run, its text at hand; None when it has not failed. Raises as sealing does."""
    if outcome.kind not in FAILED_KINDS:
        return None
    tenant_id, code = outcome.job.tenant_id, outcome.error_code or outcome.kind
    if outcome.error_message is None:
        return SeenError(fingerprint_code(tenant_id, type_=outcome.job.type, code=code), code)
    index_key = tenant_keys(tenant_id).index
    group_id = fingerprint_message(index_key, type_=outcome.job.type, code=code, message=outcome.error_message)
    if _is_known(tenant_id, group_id):
        return SeenError(group_id, code)
    text = outcome.error_message[:MAX_MESSAGE_CHARACTERS].encode()
    return SeenError(
        group_id, code, seal_column(tenant_id, table=TABLE, column=COLUMN, row_id=group_id, plaintext=text)
    )


def note_errors(seen: Sequence[tuple[Outcome, SeenError]]) -> None:
    """Add these failed runs to their groups, in the caller's transaction, which ends the runs."""
    if not seen:
        return
    new: dict[tuple[UUID, UUID], tuple[Outcome, SeenError]] = {}
    for outcome, error in seen:
        if error.sealed is not None:
            new.setdefault((outcome.job.tenant_id, error.group_id), (outcome, error))
    if new:
        _insert_groups(new)
    run_statement(
        _SQL / "note_errors.sql",
        {
            "tenants": [outcome.job.tenant_id for outcome, _ in seen],
            "groups": [error.group_id for _, error in seen],
            "types": [outcome.job.type for outcome, _ in seen],
            "codes": [error.code for _, error in seen],
            "finished": [outcome.finished_at for outcome, _ in seen],
        },
    )


def forget_known_groups() -> None:
    """Drop what this process remembers of groups."""
    _known.clear()


def _insert_groups(new: dict[tuple[UUID, UUID], tuple[Outcome, SeenError]]) -> None:
    # In one order, for whoever inserts the same group at the same time is waited for.
    keys = sorted(new)
    at: list[datetime] = [new[key][0].finished_at for key in keys]
    run_statement(
        _SQL / "insert_error_groups.sql",
        {
            "tenants": [tenant_id for tenant_id, _ in keys],
            "groups": [group_id for _, group_id in keys],
            "types": [new[key][0].job.type for key in keys],
            "codes": [new[key][1].code for key in keys],
            "messages": [new[key][1].sealed for key in keys],
            "finished": at,
        },
    )
    transaction.on_commit(partial(_remember, keys))


def _remember(keys: Sequence[tuple[UUID, UUID]]) -> None:
    if len(_known) + len(keys) > _KNOWN_LIMIT:
        _known.clear()
    _known.update(dict.fromkeys(keys, time.monotonic()))


def _is_known(tenant_id: UUID, group_id: UUID) -> bool:
    return time.monotonic() - _known.get((tenant_id, group_id), float("-inf")) < _KNOWN_SECONDS
