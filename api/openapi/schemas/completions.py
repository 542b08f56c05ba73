"""Schemas of later ends: what an endpoint says of a run that it completes itself, and what it is answered."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import (
    JOB_ID,
    NAME_SCHEMA,
    STORABLE,
    TIME,
    answered,
    described,
    integer,
    number,
    written,
)
from jobservice.jobs.completion import MAX_EXTENSION_SECONDS, MAX_MESSAGE_CHARACTERS
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, RETRY_AFTER_LIMIT_SECONDS, SNOOZE_LIMIT_SECONDS
from jobservice.jobs.reports import MESSAGE_CHARACTERS
from jobservice.jobs.states import STATES

_CANCEL_REQUESTED = described(
    {"type": "boolean"}, "Somebody asked to cancel the job: stop, and complete it as cancelled."
)
_RESULT = described({}, f"Any JSON of up to {RESULT_LIMIT_BYTES // 1024} KiB. Sealed before it is stored.")
_OF_FAILURE: dict[str, Any] = {
    "error": described(nullable(ref("CompletionError")), "The code `failed` unless given."),
    "permanent": described({"type": ["boolean", "null"]}, "The job is discarded, and not tried again."),
    "retry_after_seconds": described(
        nullable(integer(0, int(RETRY_AFTER_LIMIT_SECONDS))), "It is not tried again before."
    ),
}
_SNOOZE = described(
    integer(1, int(SNOOZE_LIMIT_SECONDS)), "The job is due again after so many seconds; no attempt is counted."
)
_NAMES = ("result", *_OF_FAILURE, "snooze_seconds")


def _completion(
    outcome: str, own: dict[str, Any], *, description: str, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What one outcome has; the members of the others may be there as null, which is the same as not given."""
    others = {name: {"type": "null"} for name in _NAMES if name not in own}
    return written(
        {"outcome": {"type": "string", "const": outcome}, **own, **others},
        required=("outcome", *required),
        description=description,
    )


_KINDS: dict[str, dict[str, Any]] = {
    "completed": _completion("completed", {"result": _RESULT}, description="The work is done."),
    "failed": _completion(
        "failed", _OF_FAILURE, description="The attempt has failed; the job is tried again by its retry policy."
    ),
    "snoozed": _completion(
        "snoozed", {"snooze_seconds": _SNOOZE}, required=("snooze_seconds",), description="Not now: ask again later."
    ),
    "cancelled": _completion("cancelled", {}, description="The work was given up; the job is cancelled."),
}


def _schema_name(outcome: str) -> str:
    return f"{outcome.capitalize()}Completion"


COMPLETION_SCHEMAS: dict[str, Any] = {
    "CompletionError": written(
        {
            "code": NAME_SCHEMA,
            "message": {
                "type": ["string", "null"],
                "maxLength": MAX_MESSAGE_CHARACTERS,
                "pattern": STORABLE,
                "description": "For people. Sealed before it is stored.",
            },
        },
        required=("code",),
        description="Why an attempt has failed.",
    ),
    **{_schema_name(outcome): schema for outcome, schema in _KINDS.items()},
    "Completion": {
        "description": "What a run came to.",
        "oneOf": [ref(_schema_name(outcome)) for outcome in _KINDS],
        "discriminator": {
            "propertyName": "outcome",
            "mapping": {outcome: ref(_schema_name(outcome))["$ref"] for outcome in _KINDS},
        },
    },
    "CompletedRun": answered(
        {"id": JOB_ID, "state": {"type": "string", "enum": list(STATES)}},
        description="The job of a run that is over, and the state it is in now.",
    ),
    "LeaseExtension": written(
        {"seconds": described(integer(1, MAX_EXTENSION_SECONDS), "From now on.")},
        required=("seconds",),
        description="How long the endpoint wants to be at work without another word.",
    ),
    "ProgressReport": written(
        {
            "percent": number(0, 100),
            "message": {
                "type": ["string", "null"],
                "maxLength": MESSAGE_CHARACTERS,
                "pattern": STORABLE,
                "description": "For people. Sealed before it is stored.",
            },
        },
        required=("percent",),
        description="How far the run is.",
    ),
    "ProgressNoted": answered({"cancel_requested": _CANCEL_REQUESTED}, description="Whether the run should stop."),
    "ExtendedLease": answered(
        {
            "lease_expires_at": described(TIME, "Without a completion by then the attempt counts as timed out."),
            "cancel_requested": _CANCEL_REQUESTED,
        },
        description="The lease of a run, as it is now.",
    ),
}
