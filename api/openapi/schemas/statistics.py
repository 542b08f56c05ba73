"""Schemas of statistics and of groups of errors."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable
from api.openapi.schemas.values import COUNT, NAME_SCHEMA, TIME, answered, described, page_of, typeid, written
from jobservice import ids
from jobservice.jobs.error_group_reads import SPARK_HOURS, STATES
from jobservice.jobs.error_groups import MAX_MESSAGE_CHARACTERS
from jobservice.jobs.statistic_ranges import MAX_POINTS, STEPS
from jobservice.jobs.statistic_reads import QUANTILES

_STATE: dict[str, Any] = {"type": "string", "enum": list(STATES)}
_STEP: dict[str, Any] = {"type": "string", "enum": list(STEPS)}
_QUANTILES: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": ["number", "null"], "minimum": 0} for name in QUANTILES},
    "required": list(QUANTILES),
}
_COUNTS: dict[str, Any] = {
    "accepted": described(COUNT, "Jobs accepted."),
    "completed": described(COUNT, "Jobs that ended as `completed`."),
    "discarded": described(COUNT, "Jobs that ended as `discarded`: failed for good."),
    "cancelled": described(COUNT, "Jobs that ended as `cancelled`."),
    "retried": described(COUNT, "Runs that failed, timed out or crashed, and whose jobs go on."),
    "wait_ms": described(
        _QUANTILES,
        "How long the jobs that ended had been due when they first started, in milliseconds; null of none.",
    ),
    "run_ms": described(_QUANTILES, "How long runs took that ended a job or failed, in milliseconds; null of none."),
}

STATISTICS_SCHEMAS: dict[str, Any] = {
    "StatisticTotal": answered(_COUNTS, description="What happened in the whole time."),
    "StatisticPoint": answered(
        {"at": described(TIME, "When the step begins."), **_COUNTS}, description="What happened in one step."
    ),
    "Statistics": answered(
        {
            "since": described(TIME, "When the first step begins."),
            "until": described(TIME, "When the last step ends; it may not be over yet."),
            "step": _STEP,
            "total": {"$ref": "#/components/schemas/StatisticTotal"},
            "data": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/StatisticPoint"},
                "maxItems": MAX_POINTS,
            },
        },
        description="What happened in a time, a point for each step, also where nothing did.",
    ),
    "ErrorGroup": answered(
        {
            "id": typeid(ids.ERROR_GROUP),
            "type": described(NAME_SCHEMA, "The type of the jobs."),
            "code": described({"type": "string"}, "The code of the error."),
            "message": described(
                {"type": ["string", "null"], "maxLength": MAX_MESSAGE_CHARACTERS},
                "The text of the first one; null of errors without one.",
            ),
            "state": described(
                _STATE, "`resolved` becomes `open` when a run fails with it again; `ignored` stays as it is."
            ),
            "state_changed_at": nullable(TIME),
            "runs": described(COUNT, "How many runs failed with it."),
            "runs_by_hour": described(
                {"type": "array", "items": COUNT, "minItems": SPARK_HOURS, "maxItems": SPARK_HOURS},
                "In each of the last hours of UTC; the current one is the last.",
            ),
            "first_seen_at": TIME,
            "last_seen_at": TIME,
        },
        description="Runs that failed with the same error: of one job type, with one code and with texts that differ "
        "only in numbers, ids, times, addresses, paths and what is quoted.",
    ),
    "ErrorGroupPage": page_of("ErrorGroup", order="the last seen first"),
    "ErrorGroupChange": written(
        {"state": described(_STATE, "What it is from now on.")},
        required=("state",),
        description="What somebody says of a group of errors.",
    ),
}
