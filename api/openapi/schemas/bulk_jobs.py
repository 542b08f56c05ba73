"""Schemas of many jobs in one request."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import ref
from api.openapi.schemas.problems import one_problem_of
from api.openapi.schemas.values import answered, described, integer, written
from jobservice.jobs.bulk import MAX_JOBS, MODES

_INDEX = described(integer(0, MAX_JOBS - 1), "Its place in the request.")
# Why one job of a partial request may be refused.
REFUSALS = (
    "invalid",
    "unknown-job-type",
    "egress-refused",
    "payload-too-large",
    "forbidden",
    "quota-exceeded",
    "unique-conflict",
)

BULK_SCHEMAS: dict[str, Any] = {
    "BulkSubmission": written(
        {
            "mode": described(
                {"type": "string", "enum": list(MODES)},
                "`atomic`: all are stored, or none and every fault is told. `partial`: each is judged by itself.",
            ),
            "jobs": {"type": "array", "items": ref("JobSubmission"), "minItems": 1, "maxItems": MAX_JOBS},
        },
        required=("mode", "jobs"),
        description="Jobs to accept.",
    ),
    "StoredEntry": answered(
        {"index": _INDEX, "status": {"type": "integer", "enum": [200, 201]}, "job": ref("Job")},
        description="201: a job that is stored. 200: the job that holds its unique key in its place.",
    ),
    "RefusedEntry": answered(
        {"index": _INDEX, "status": integer(400, 499), "problem": one_problem_of(REFUSALS)},
        description="A job that is not.",
    ),
    "BulkResult": answered(
        {
            "data": {
                "type": "array",
                "description": "One entry for each job, in the order of the request.",
                "items": {"oneOf": [ref("StoredEntry"), ref("RefusedEntry")]},
            }
        },
        description="What became of each job.",
    ),
}
