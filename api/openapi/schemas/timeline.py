"""Schemas of the story of one job: its attempts, and the entries of its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import COUNT, NAME_SCHEMA, TIME, answered, described, integer, page_of, typeid
from jobservice import ids
from jobservice.handlers.job import LOG_LEVELS
from jobservice.jobs.cancel import CANCEL_REQUESTED
from jobservice.jobs.change import UPDATED
from jobservice.jobs.options import MAX_PRIORITY
from jobservice.jobs.outcomes import HoldReason
from jobservice.jobs.reports import LINE_CHARACTERS, LOG_BYTES
from jobservice.jobs.retry import RETRIED
from jobservice.jobs.settle import SUSPENDED
from jobservice.jobs.states import FINAL_STATES
from jobservice.jobs.timeline import WORKER
from jobservice.webhooks.event_types import RETRYING

# The outcomes that the table of attempts allows.
OUTCOMES = ("completed", "failed", "timed-out", "snoozed", "cancelled", "crashed", "released")
HOLD_REASONS = get_args(HoldReason)
_CODE = {"type": ["string", "null"]}
RETRY_IN_SECONDS = {"type": "number", "minimum": 0}


def _entry(type_name: str, data: Mapping[str, Any], *, description: str) -> dict[str, Any]:
    return answered(
        {
            "id": typeid(ids.EVENT),
            "seq": described({"type": "integer", "minimum": 1}, "Counts from 1; an entry keeps its number."),
            "type": {"type": "string", "const": type_name},
            "at": TIME,
            "data": answered(data, description="What happened."),
        },
        description=description,
    )


_ENTRIES: dict[str, tuple[str, dict[str, Any]]] = {
    "job.accepted": (
        "JobAcceptedEntry",
        _entry(
            "job.accepted",
            {"queue": NAME_SCHEMA, "priority": integer(0, MAX_PRIORITY), "run_at": TIME},
            description="The job was stored.",
        ),
    ),
    "attempt.ended": (
        "AttemptEndedEntry",
        _entry(
            "attempt.ended",
            {
                "attempt_id": typeid(ids.ATTEMPT),
                "number": {"type": "integer", "minimum": 1},
                "outcome": {"type": "string", "enum": list(OUTCOMES)},
                "started_at": TIME,
                "error_code": _CODE,
            },
            description="A run of the job ended.",
        ),
    ),
    "delivery.attempted": (
        "DeliveryAttemptedEntry",
        _entry(
            "delivery.attempted",
            {
                "delivery_id": typeid(ids.DELIVERY),
                "event_id": typeid(ids.EVENT),
                "number": {"type": "integer", "minimum": 1},
                "status": described(
                    nullable(integer(100, 599)), "The receiver's status; null when there was no answer."
                ),
                "duration_ms": COUNT,
                "error": described(_CODE, "A coarse word for why there was no answer."),
                "next_attempt_at": nullable(TIME),
            },
            description="The job's event was sent to a receiver.",
        ),
    ),
    UPDATED: (
        "JobUpdatedEntry",
        _entry(
            UPDATED,
            {
                "job": ref("Job"),
                "changed": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "description": "The names of what is different now.",
                },
            },
            description="A waiting job was altered.",
        ),
    ),
    CANCEL_REQUESTED: (
        "JobCancelRequestedEntry",
        _entry(CANCEL_REQUESTED, {"job": ref("Job")}, description="The run of the job was asked to stop."),
    ),
    RETRIED: (
        "JobRetriedEntry",
        _entry(RETRIED, {"job": ref("Job")}, description="Somebody let the job run again."),
    ),
    SUSPENDED: (
        "JobSuspendedEntry",
        _entry(
            SUSPENDED,
            {"job": ref("Job"), "reason": {"type": "string", "enum": list(HOLD_REASONS)}},
            description="The job is held: after its third crash, or while its type is switched off.",
        ),
    ),
    RETRYING: (
        "JobRetryingEntry",
        _entry(
            RETRYING,
            {"job": ref("Job"), "retry_in_seconds": RETRY_IN_SECONDS},
            description="An attempt has failed and another will come. Only where an endpoint asked to be told of it.",
        ),
    ),
    **{
        f"job.{state}": (
            f"Job{state.capitalize()}Entry",
            _entry(f"job.{state}", {"job": ref("Job")}, description=f"The job is {state}."),
        )
        for state in FINAL_STATES
    },
}

TIMELINE_SCHEMAS: dict[str, Any] = {
    "Attempt": answered(
        {
            "id": typeid(ids.ATTEMPT),
            "number": {"type": "integer", "minimum": 1},
            "epoch": {"type": "integer", "minimum": 1},
            "worker": nullable(typeid(WORKER)),
            "started_at": TIME,
            "finished_at": TIME,
            "outcome": {"type": "string", "enum": list(OUTCOMES)},
            "error": nullable(ref("JobError")),
            "progress": nullable(ref("JobProgress")),
            "log": described(
                {"type": ["array", "null"], "items": ref("LogLine")},
                f"What the run logged, in order; of more than {LOG_BYTES // 1024} KiB the newest lines. "
                "Null when it logged nothing.",
            ),
        },
        description="One run of a job that has ended.",
    ),
    "LogLine": answered(
        {
            "at": TIME,
            "level": {"type": "string", "enum": list(LOG_LEVELS)},
            "message": described(
                {"type": "string", "maxLength": LINE_CHARACTERS}, "The rest of a longer line is left out."
            ),
        },
        description="One line of a run's log.",
    ),
    "AttemptPage": page_of("Attempt", order="the newest first"),
    **dict(_ENTRIES.values()),
    "TimelineEntry": {
        "description": "One thing that happened to a job.",
        "oneOf": [ref(name) for name, _ in _ENTRIES.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: ref(name)["$ref"] for kind, (name, _) in _ENTRIES.items()},
        },
    },
    "TimelinePage": page_of("TimelineEntry", order="in the order in which things happened"),
}
