"""Schemas of what the service sends: the events of jobs, and the work it asks an endpoint for."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import ref
from api.openapi.schemas.jobs import JOB_SCHEMAS
from api.openapi.schemas.values import TIME, answered, described
from jobservice.jobs.states import FINAL_STATES

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


EVENT_SCHEMAS: dict[str, Any] = {
    **{
        f"Job{state.capitalize()}Event": _message(
            f"job.{state}",
            {
                "job": ref("Job"),
                "metadata": described({}, "As it was submitted; left out when there was none."),
                "result_included": described(
                    {"type": "boolean"}, "False when there is none, or when it is too large to be sent along."
                ),
                "result": {},
            },
            optional=("metadata",),
            description=f"A job is {state}. Told once; the same id on every try.",
        )
        for state in FINAL_STATES
    },
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


def event_name(state: str) -> str:
    """The name of the schema of the event of a final state."""
    return f"Job{state.capitalize()}Event"
