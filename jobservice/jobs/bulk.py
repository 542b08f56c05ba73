"""Accept of many jobs in one request: all or none, or each for itself. No HTTP.

Every job is checked by the rules of a single one. In atomic mode every fault of every job is reported at once, under
the job's place in the request; in partial mode each refused job has its own error and the others are stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from jobservice.errors import Fault, Invalid, JobserviceError, QuotaExceeded
from jobservice.field_checks import Fields
from jobservice.jobs.accept import accept_jobs, find_errors
from jobservice.jobs.store import Refused
from jobservice.jobs.submission import Draft, PayloadTooLarge, Submission, SubmissionLimits, read_submission
from tenants.quotas import DEFAULT_VOLUME, VolumeLimits
from tenants.quotas import DEFAULTS as DEFAULT_QUOTAS

MAX_JOBS = 1000
MODES = ("atomic", "partial")
# More are not shown, and a thousand jobs may have hundreds of thousands.
MOST_FAULTS = 100
# Where in a job the fault lies that an error without a pointer tells of.
_PLACES = {
    "unknown-job-type": "/type",
    "forbidden": "/queue",
    "conflict": "/type",
    "unique-conflict": "/unique",
}

Result = dict[str, Any] | JobserviceError


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A checked request: its mode and its jobs as they were sent."""

    is_atomic: bool
    jobs: Sequence[object]


def parse_bulk(raw: object) -> BulkRequest:
    """The request in a parsed JSON body; its jobs are not looked into. Raises `Invalid`."""
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset({"mode", "jobs"}))
    fields.require("mode")
    fields.require("jobs")
    mode, jobs = fields.choice("mode", MODES), fields.array("jobs")
    if jobs is not None and not 1 <= len(jobs) <= MAX_JOBS:
        fields.refuse("jobs", "out-of-range", f"jobs must have 1 to {MAX_JOBS} entries.")
    if fields.faults:
        raise Invalid(fields.faults)
    return BulkRequest(mode == "atomic", jobs or [])


def accept_bulk(
    tenant_id: UUID,
    request: BulkRequest,
    *,
    limits: SubmissionLimits,
    queues: Collection[str] | None = None,
    traceparent: str | None = None,
    max_queues: int | None = DEFAULT_QUOTAS["queues"],
    volume: VolumeLimits = DEFAULT_VOLUME,
) -> list[Result]:
    """Store the jobs in one transaction; per job its answer as the API shows it, or why it was refused.

    Raises `Invalid` with the faults of all jobs when the request is atomic and any is refused.
    """
    drafts = [read_submission(job, limits=limits, traceparent=traceparent) for job in request.jobs]
    if request.is_atomic:
        return _accept_all(tenant_id, drafts, queues=queues, max_queues=max_queues, volume=volume)
    parsed = [_accept(draft) for draft in drafts]
    right = [item for item in parsed if isinstance(item, Submission)]
    stored = iter(accept_jobs(tenant_id, right, queues=queues, is_atomic=False, max_queues=max_queues, limits=volume))
    return [next(stored) if isinstance(item, Submission) else item for item in parsed]


def _accept(draft: Draft) -> Submission | JobserviceError:
    try:
        return draft.accept()
    except JobserviceError as error:
        return error


def _accept_all(
    tenant_id: UUID,
    drafts: Sequence[Draft],
    *,
    queues: Collection[str] | None,
    max_queues: int | None,
    volume: VolumeLimits,
) -> list[Result]:
    if any(draft.faults for draft in drafts):
        raise _refuse_all(drafts, _find_other_errors(tenant_id, drafts, queues=queues, max_queues=max_queues))
    submissions = [draft.accept() for draft in drafts]
    try:
        return accept_jobs(tenant_id, submissions, queues=queues, is_atomic=True, max_queues=max_queues, limits=volume)
    except Refused as refused:
        raise _refuse_all(drafts, refused.errors) from None


def _find_other_errors(
    tenant_id: UUID, drafts: Sequence[Draft], *, queues: Collection[str] | None, max_queues: int | None
) -> list[list[JobserviceError]]:
    """What would refuse each job besides the faults of its fields, so that one answer names everything."""
    submissions = [draft.submission for draft in drafts]
    named = [submission for submission in submissions if submission is not None and submission.type]
    errors = iter(find_errors(tenant_id, named, queues=queues, max_queues=max_queues))
    return [next(errors) if submission is not None and submission.type else [] for submission in submissions]


def _refuse_all(drafts: Sequence[Draft], errors: Sequence[Sequence[JobserviceError]]) -> JobserviceError:
    """One error for all; a single job that is too large makes the request too large, as it would alone."""
    if len(drafts) == 1 and isinstance(alone := _accept(drafts[0]), PayloadTooLarge):
        return alone
    faults = (
        Fault(f"/jobs/{place}{fault.pointer}", fault.code, fault.detail)
        for place, draft in enumerate(drafts)
        for fault in _faults(draft, errors[place])
    )
    return Invalid(list(islice(faults, MOST_FAULTS)))


def _faults(draft: Draft, errors: Sequence[JobserviceError]) -> list[Fault]:
    """The faults of a job's fields, then those of what the fields name, unless the field itself is wrong."""
    wrong = tuple(fault.pointer for fault in draft.faults)
    others = [fault for error in errors for fault in _as_faults(error)]
    return draft.faults + [fault for fault in others if not _is_within(fault.pointer, wrong)]


def _as_faults(error: JobserviceError) -> list[Fault]:
    if isinstance(error, Invalid):
        return error.faults
    # Of a quota of volume the job as a whole is one too many.
    place = (error.pointer or "") if isinstance(error, QuotaExceeded) else _PLACES[error.code]
    return [Fault(place, error.code, error.detail)]


def _is_within(pointer: str, places: Collection[str]) -> bool:
    return any(pointer == place or pointer.startswith(f"{place}/") for place in places)
