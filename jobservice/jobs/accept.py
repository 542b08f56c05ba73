"""Accept: a checked submission becomes a stored job in one transaction. Committed means promised.

1. Resolve the job type and its defaults.
2. Seal payload, metadata and callback address, before the first INSERT.
3. Share the lane's lock and wake it if it sleeps; insert the job, its live row, its sealed values and its tags.
The broker has no part in this; the dispatcher is woken after the commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.errors import UnknownJobType
from jobservice.ids import new_id
from jobservice.jobs.job_types import ResolvedType, resolve_type
from jobservice.jobs.lanes import open_lane
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.representation import represent_job
from jobservice.jobs.states import PRIORITY_STEP_SECONDS
from jobservice.jobs.submission import Submission
from jobservice.statements import run_statement
from tenants.blobs import SealedBlob, seal_blob
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"

DEFAULTS: Mapping[str, Any] = {
    "queue": "default",
    "priority": 0,
    "timeout_seconds": 60,
    "max_attempts": 20,
    "retry": {},
}


def accept_job(tenant_id: UUID, submission: Submission) -> dict[str, Any]:
    """Store the job and answer it as the API shows it. Raises `UnknownJobType`."""
    with tenant_tx(tenant_id):
        job_type = resolve_type(tenant_id, submission.type)
        if job_type is None:
            raise UnknownJobType(f"There is no job type {submission.type!r}.")
        options = _options(submission, job_type)
        blobs = _seal(tenant_id, submission)
        lane_id = open_lane(tenant_id, queue=options["queue"], pool=job_type.pool)
        (row,) = run_statement(
            _SQL / "insert_job.sql", _parameters(tenant_id, submission, job_type, options, blobs, lane_id)
        )
        # On commit, so that the dispatcher finds the job when it looks.
        transaction.on_commit(wake_dispatcher)
    return represent_job(_facts(row))


def _options(submission: Submission, job_type: ResolvedType) -> dict[str, Any]:
    """The caller's word, else the type's, else the service's."""
    options: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        given = getattr(submission, name)
        options[name] = given if given is not None else job_type.defaults.get(name, default)
    return options


def _seal(tenant_id: UUID, submission: Submission) -> dict[str, SealedBlob]:
    values = {"payload": submission.payload, "metadata": submission.metadata}
    if submission.callback_url is not None:
        values["callback_url"] = submission.callback_url.encode()
    return {
        kind: seal_blob(tenant_id, kind=kind, plaintext=value) for kind, value in values.items() if value is not None
    }


def _parameters(
    tenant_id: UUID,
    submission: Submission,
    job_type: ResolvedType,
    options: dict[str, Any],
    blobs: dict[str, SealedBlob],
    lane_id: int,
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "tenant": tenant_id,
        "lane": lane_id,
        "type": job_type.name,
        "executor": job_type.executor,
        "handler": job_type.handler,
        "pool": job_type.pool,
        "queue": options["queue"],
        "priority": options["priority"],
        "priority_seconds": options["priority"] * PRIORITY_STEP_SECONDS,
        "max_attempts": options["max_attempts"],
        "timeout_seconds": options["timeout_seconds"],
        "retry": json.dumps(options["retry"]),
        "tags": json.dumps(submission.tags),
        "tag_names": list(submission.tags),
        "tag_values": list(submission.tags.values()),
        "run_at": submission.run_at,
        "delay_seconds": submission.delay_seconds or 0,
        "traceparent": submission.traceparent,
        "payload_bytes": len(submission.payload),
        **{f"{kind}_id": blobs[kind].id if kind in blobs else None for kind in ("payload", "metadata", "callback_url")},
        "blob_ids": [blob.id for blob in blobs.values()],
        "blob_kinds": [blob.kind for blob in blobs.values()],
        "blob_values": [blob.sealed for blob in blobs.values()],
    }


def _facts(row: Any) -> Any:
    """A job just accepted: its row, and of its live row what is not null yet."""
    return SimpleNamespace(**row._asdict(), cancel_requested=False)
