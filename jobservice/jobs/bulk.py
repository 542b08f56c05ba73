"""Accept of many jobs in one request: all or none, or each for itself. No HTTP.

Every job is checked by the rules of a single one. In atomic mode every fault of every job is reported at once, under
the job's place in the request; in partial mode each refused job has its own error and the others are stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jobservice.errors import Fault, Invalid, JobserviceError
from jobservice.jobs.accept import Refused, accept_jobs
from jobservice.jobs.field_checks import Fields
from jobservice.jobs.submission import PayloadTooLarge, Submission, SubmissionLimits, parse_submission

MAX_JOBS = 1000
MODES = ("atomic", "partial")
# Where in a job the fault lies that an error without a pointer tells of.
_PLACES = {
    "unknown-job-type": "/type",
    "forbidden": "/queue",
    "egress-refused": "/callback_url",
    "payload-too-large": "/payload",
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
) -> list[Result]:
    """Store the jobs in one transaction; per job its answer as the API shows it, or why it was refused.

    Raises `Invalid` with the faults of all jobs when the request is atomic and any is refused.
    """
    parsed = [_parse(job, limits=limits, traceparent=traceparent) for job in request.jobs]
    right = [item for item in parsed if isinstance(item, Submission)]
    if request.is_atomic and len(right) < len(parsed):
        raise _refusal([None if isinstance(item, Submission) else item for item in parsed])
    try:
        stored = iter(accept_jobs(tenant_id, right, queues=queues, is_atomic=request.is_atomic))
    except Refused as refused:
        raise _refusal(refused.errors) from None
    return [next(stored) if isinstance(item, Submission) else item for item in parsed]


def _parse(job: object, *, limits: SubmissionLimits, traceparent: str | None) -> Submission | JobserviceError:
    try:
        return parse_submission(job, limits=limits, traceparent=traceparent)
    except JobserviceError as error:
        return error


def _refusal(errors: Sequence[JobserviceError | None]) -> JobserviceError:
    """One error for all; a single job that is too large makes the request too large, as it would alone."""
    if len(errors) == 1 and isinstance(errors[0], PayloadTooLarge):
        return errors[0]
    return Invalid(
        [fault for place, error in enumerate(errors) if error is not None for fault in _faults(place, error)]
    )


def _faults(place: int, error: JobserviceError) -> list[Fault]:
    if isinstance(error, Invalid):
        return [Fault(f"/jobs/{place}{fault.pointer}", fault.code, fault.detail) for fault in error.faults]
    return [Fault(f"/jobs/{place}{_PLACES.get(error.code, '')}", error.code, error.detail)]
