"""Schemas of what the service sends: the events of a tenant and its jobs, and the work it asks an endpoint for."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import ref
from api.openapi.schemas.jobs import JOB_SCHEMAS
from api.openapi.schemas.timeline import HOLD_REASONS, RETRY_IN_SECONDS
from api.openapi.schemas.values import COUNT, TIME, answered, described, typeid
from jobservice import ids
from jobservice.jobs.settle import SUSPENDED
from jobservice.webhooks.event_types import ENDPOINT_DISABLED, QUOTA_WARNING, RETRYING, SENT_TYPES, TEST
from tenants.quotas import DEFAULTS

# A started job as far as it knows itself.
_RUN_MEMBERS = (
    "id",
    "type",
    "executor",
    "queue",
    "state",
    "priority",
    "attempt",
    "max_attempts",
    "crash_count",
    "tags",
    "run_at",
    "created_at",
)
_ENDPOINT_ID = typeid(ids.ENDPOINT)
_OF_A_JOB: dict[str, Any] = {
    "job": ref("Job"),
    "seq": described(
        {"type": "integer", "minimum": 1}, "Which event of the job it is; they may arrive in another order."
    ),
    "metadata": described({}, "As it was submitted; left out when there was none."),
    "result_included": described(
        {"type": "boolean"}, "False when there is none, or when it is too large to be sent along."
    ),
    "result": {},
}
# What is told besides the job; and of events that are of no job, all that is told.
_DETAILS: dict[str, dict[str, Any]] = {
    SUSPENDED: {"reason": {"type": "string", "enum": list(HOLD_REASONS)}},
    RETRYING: {"retry_in_seconds": RETRY_IN_SECONDS},
    ENDPOINT_DISABLED: {
        "endpoint": answered(
            {
                "id": _ENDPOINT_ID,
                "status": {"type": "string", "const": "disabled"},
                "status_reason": described(
                    {"type": "string", "enum": ["gone", "failing"]},
                    "It answered 410, or every try for five days failed.",
                ),
            },
            description="The endpoint that is told of nothing any more.",
        )
    },
    QUOTA_WARNING: {
        "quota": answered(
            {"name": {"type": "string", "enum": list(DEFAULTS)}, "limit": COUNT, "used": COUNT},
            description="The quota, as in `GET /v1/usage`.",
        )
    },
    TEST: {"endpoint": answered({"id": _ENDPOINT_ID}, description="The endpoint that is tested.")},
}


def event_name(type_name: str) -> str:
    """The name of the schema of the events of a type: `JobCompletedEvent` of `job.completed`."""
    return "".join(word.capitalize() for word in type_name.split(".")) + "Event"


def _message(
    type_name: str, data: dict[str, Any], *, description: str, optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    return answered(
        {
            "type": {"type": "string", "const": type_name},
            "timestamp": TIME,
            "data": answered(data, description="What it is about.", optional=optional),
        },
        description=description,
    )


def _event(type_name: str, description: str) -> dict[str, Any]:
    of_job = _OF_A_JOB if type_name.startswith("job.") else {}
    told = f"{description} Told once; the same id on every try."
    data = {**_DETAILS.get(type_name, {}), **of_job}
    return _message(type_name, data, optional=("metadata",), description=told)


EVENT_SCHEMAS: dict[str, Any] = {
    **{event_name(name): _event(name, description) for name, description in SENT_TYPES.items()},
    "StartedJob": answered(
        {name: JOB_SCHEMAS["Job"]["properties"][name] for name in _RUN_MEMBERS},
        description="A job that is asked to run.",
    ),
    "JobRun": _message(
        "job.run",
        {
            "job": ref("StartedJob"),
            "payload": {},
            "attempt": {"type": "integer", "minimum": 1},
            "epoch": {"type": "integer", "minimum": 1},
            "deadline": described(TIME, "When the service stops waiting for the answer."),
        },
        description="A request to do a job's work; a JSON answer is its result.",
    ),
}
