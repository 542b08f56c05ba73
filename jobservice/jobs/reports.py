"""Reports: what a run says of itself while it goes on, its progress and its log.

1. Lock the run's live row, if it is still held: executing, under this epoch, and by this worker.
2. Seal the message and the log, each a value of its own, bound to the epoch; write them over those of the last report.
3. Note the percent and the values' ids on the live row. Whoever settles the run hands them to its attempt.
A report of a run that is over, or that somebody else runs by now, changes nothing and is counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from jobservice.field_checks import compact_json
from jobservice.handlers.job import LogLevel
from jobservice.jobs.representation import show_time
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.blobs import insert_blobs, overwrite_blobs, seal_blob
from tenants.context import process_tx
from tenants.data_keys import tenant_keys

_SQL = Path(__file__).resolve().parent / "sql"
PROGRESS: Literal["progress"] = "progress"
LOG: Literal["log"] = "log"
MESSAGE_CHARACTERS = 1000
LINE_CHARACTERS = 8000
LOG_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ReportingRun:
    """The run that reports. `worker_id` None: whoever holds its epoch, for an endpoint that was given the epoch."""

    tenant_id: UUID
    job_id: UUID
    epoch: int
    worker_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, 0 to 100; a message is cut to `MESSAGE_CHARACTERS`."""

    percent: float
    message: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's log; a message is cut to `LINE_CHARACTERS`."""

    at: datetime
    level: LogLevel
    message: str = field(repr=False)

    def encode(self) -> bytes:
        """As it is stored and shown: a JSON object in UTF-8."""
        message = _storable(self.message, LINE_CHARACTERS)
        return compact_json({"at": show_time(self.at.astimezone(UTC)), "level": self.level, "message": message})


class RunLog:
    """The newest lines of a run's log, never more than `LOG_BYTES` as they are stored. Not safe for threads."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._bytes = len(b"[]")

    def add(self, line: LogLine) -> None:
        """Add a line; the oldest ones leave for it."""
        encoded = line.encode()
        self._lines.append(encoded)
        self._bytes += len(encoded) + 1
        while self._bytes > LOG_BYTES:
            self._bytes -= len(self._lines.popleft()) + 1

    def encode(self) -> bytes:
        """The log as it is stored and shown: a JSON array in UTF-8."""
        return b"[" + b",".join(self._lines) + b"]"


def write_report(run: ReportingRun, *, progress: Progress | None = None, log: bytes | None = None) -> bool:
    """Write what the run reports; None leaves what it reported before. False when it is over or not the caller's.

    `log` is the whole log, of `RunLog.encode`. Raises `SealingError` when the tenant has no keys any more, and what the
    database raises. For workers and for the web; in a transaction of the tenant, part of that one.
    """
    tenant_keys(run.tenant_id)  # loaded before the transaction that seals
    with process_tx(run.tenant_id):
        rows = run_statement(_SQL / "lock_run.sql", _named(run))
        for row in rows:
            _write(run, row, progress, log)
    if not rows:
        names = {"tenant_id": run.tenant_id, "job_id": run.job_id, "epoch": run.epoch}
        log_event("stale_write_refused", level="warning", kind="job", **names)
    return bool(rows)


def _write(run: ReportingRun, row: Any, progress: Progress | None, log: bytes | None) -> None:
    progress_id, log_id = row.progress_id, row.log_id
    # Sealed under the lock, because only now the rows are known that the values are bound to.
    if progress is not None and (progress.message is not None or progress_id is not None):
        message = None if progress.message is None else _storable(progress.message, MESSAGE_CHARACTERS)
        progress_id = _store(run, PROGRESS, progress_id, compact_json(message))
    if log is not None:
        log_id = _store(run, LOG, log_id, log)
    percent = row.progress_percent if progress is None else progress.percent
    run_statement(_SQL / "note_report.sql", {**_named(run), "percent": percent, "progress": progress_id, "log": log_id})


def _store(run: ReportingRun, kind: str, blob_id: UUID | None, value: bytes) -> UUID:
    """Write over the value of the last report, or make the first one.

    A rotation of the tenant's key compares and sets: it leaves a value alone that was replaced meanwhile, and looks
    once more when nobody seals under the older key any longer.
    """
    blob = seal_blob(run.tenant_id, kind=kind, plaintext=value, epoch=run.epoch, blob_id=blob_id)
    if blob_id is None:
        insert_blobs([blob])
    else:
        overwrite_blobs([blob])
    return blob.id


def _named(run: ReportingRun) -> dict[str, Any]:
    return {"tenant": run.tenant_id, "job": run.job_id, "epoch": run.epoch, "worker": run.worker_id}


def _storable(text: str, characters: int) -> str:
    """The text, cut, and always encodable as UTF-8."""
    return text[:characters].encode("utf-8", "replace").decode()
