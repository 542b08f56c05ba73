"""Schemas of bulk actions."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import (
    COUNT,
    GIVEN_TIME,
    NAME_SCHEMA,
    TIME,
    answered,
    described,
    integer,
    page_of,
    typeid,
    written,
)
from jobservice import ids
from jobservice.jobs.bulk_action_request import ACTIONS, DEFAULT_MAX, MAX_JOBS
from jobservice.jobs.bulk_actions import ALL_ACTIONS, STATUSES
from jobservice.jobs.options import MAX_PRIORITY
from jobservice.jobs.states import STATES
from jobservice.jobs.submission import MAX_TAG_CHARACTERS, MAX_TAGS

_TAG_PATTERN = f"^[a-z0-9][a-z0-9._-]{{0,99}}:[^\\u0000]{{0,{MAX_TAG_CHARACTERS}}}$"
_TAG: dict[str, Any] = {"type": "string", "pattern": _TAG_PATTERN}
TAGS: dict[str, Any] = {"type": "array", "items": _TAG, "maxItems": MAX_TAGS}
_ACTION: dict[str, Any] = {"type": "string", "enum": list(ACTIONS)}
_FILTER: dict[str, Any] = {
    "state": described({"type": "string", "enum": list(STATES)}, "The state they are in."),
    "queue": described(NAME_SCHEMA, "The queue they are in."),
    "type": described(NAME_SCHEMA, "Their job type."),
    "tag": described(TAGS, "`name:value` of each tag they have."),
    "priority": described(integer(0, MAX_PRIORITY), "Their priority."),
    "created_after": described(GIVEN_TIME, "Accepted at this time or later."),
    "created_before": described(GIVEN_TIME, "Accepted before this time."),
    "error_group": described(typeid(ids.ERROR_GROUP), "The group of the error that they have now."),
}
_WRITTEN_TAGS: dict[str, Any] = {
    "anyOf": [
        _TAG,
        TAGS,
        {
            "type": "object",
            "propertyNames": NAME_SCHEMA,
            "additionalProperties": {
                "type": "string",
                "maxLength": MAX_TAG_CHARACTERS,
                "pattern": "^[^\\u0000]*$",
            },
            "maxProperties": MAX_TAGS,
        },
        {"type": "null"},
    ],
    "description": "Tags that they all have: `name:value`, several of them, or an object of names and values.",
}

BULK_ACTION_SCHEMAS: dict[str, Any] = {
    "BulkActionFilterRequest": {
        **written(
            {
                **{name: nullable(schema) for name, schema in _FILTER.items()},
                "tag": _WRITTEN_TAGS,
            },
            description="Which jobs, by the filters of the list of jobs; at least one of them must be given.",
        ),
        "minProperties": 1,
    },
    "BulkActionRequest": written(
        {
            "action": described(_ACTION, "What is done to each, as by its own call."),
            "filter": {"$ref": "#/components/schemas/BulkActionFilterRequest"},
            "max": described(
                nullable(integer(1, MAX_JOBS)), f"How many jobs at most, the oldest first; {DEFAULT_MAX} by default."
            ),
        },
        required=("action", "filter"),
        description="An action on every job that a filter matches.",
    ),
    "BulkActionFilter": answered(
        _FILTER, description="Which jobs; what was not given is left out.", optional=tuple(_FILTER)
    ),
    "BulkActionError": answered(
        {"code": {"type": "string", "enum": ["stalled"]}, "message": {"type": "string"}},
        description="Why it was given up.",
    ),
    "BulkAction": answered(
        {
            "id": typeid(ids.BULK_ACTION),
            "action": described(
                {"type": "string", "enum": list(ALL_ACTIONS)},
                "`replay`: deliveries are sent again; the others: of jobs.",
            ),
            "endpoint_id": described(nullable(typeid(ids.ENDPOINT)), "Whose deliveries are replayed; null for jobs."),
            "filter": {"anyOf": [ref("ReplayFilter"), ref("BulkActionFilter")]},
            "max": integer(1, MAX_JOBS),
            "status": {"type": "string", "enum": list(STATUSES)},
            "matched": described(COUNT, "How many it found when it was made, `max` at most."),
            "done": described(COUNT, "How many of them it has acted on."),
            "skipped": described(
                COUNT,
                "How many it has not: the action did not apply to them, or the filter matched them no more. When it is "
                "completed, `done` and `skipped` are `matched`.",
            ),
            "error": nullable({"$ref": "#/components/schemas/BulkActionError"}),
            "created_at": TIME,
            "finished_at": nullable(TIME),
        },
        description="An action on every job that a filter matches, or on every such delivery to an endpoint, and how "
        "far it has come.",
    ),
    "BulkActionPage": page_of("BulkAction", order="the newest first"),
}
