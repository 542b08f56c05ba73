"""Schemas of job types."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.jobs import OPTIONS
from api.openapi.schemas.values import HEADERS, NAME_SCHEMA, TIME, URL, answered, described, page_of, typeid, written
from jobservice import ids
from jobservice.jobs.schema_compiling import MAX_SCHEMA_BYTES
from jobservice.jobs.type_resolution import POOLS
from jobservice.target_fields import MASK, MAX_HEADERS

_WRITTEN_TARGET = written(
    {
        "url": described(URL, "Sealed when stored."),
        "headers": {
            **HEADERS,
            "description": "Sent with every call; sealed when stored, and never shown again. Headers that frame the "
            "message and those that begin with webhook- are the service's own.",
            "additionalProperties": {**HEADERS["additionalProperties"], "not": {"const": MASK}},
            "maxProperties": MAX_HEADERS,
        },
        "signing": nullable(ref("JobTypeSigning")),
    },
    required=("url",),
    description="Where the jobs of the type are POSTed to.",
)
_SHOWN_TARGET = answered(
    {
        "url": {"type": "string"},
        "headers": {"type": "object", "additionalProperties": {"const": MASK, "type": "string"}},
        "signing": ref("ShownSigning"),
    },
    description="Where the jobs of the type are POSTed to; of the headers only the names are shown.",
)
_PAYLOAD_SCHEMA: dict[str, Any] = {
    "type": ["object", "boolean", "null"],
    "description": "What payloads of the type must look like: JSON Schema 2020-12 that refers to nothing outside "
    f"itself, of up to {MAX_SCHEMA_BYTES // 1024} KiB. Shown as it was sent.",
}
_ON_CRASH: dict[str, Any] = {
    "type": ["string", "null"],
    "enum": ["retry", "discard", None],
    "description": "What the loss of a worker means for the job it ran: run it again, until the third loss holds it, "
    "or end it.",
}


def _spec(executor: str, own: dict[str, Any], other: str, *, description: str) -> dict[str, Any]:
    return written(
        {
            "executor": {"type": "string", "const": executor},
            executor: own,
            other: {"type": "null"},
            "payload_schema": _PAYLOAD_SCHEMA,
            "defaults": nullable(ref("JobDefaults")),
            "on_crash": _ON_CRASH,
        },
        required=("executor", executor),
        description=description,
    )


JOB_TYPE_SCHEMAS: dict[str, Any] = {
    "JobDefaults": written(OPTIONS, description="What the jobs of a type have unless they say otherwise."),
    "HttpTarget": _WRITTEN_TARGET,
    "HttpJobTypeSpec": _spec(
        "http", ref("HttpTarget"), "handler", description="The tenant's own endpoint does the work, by a signed POST."
    ),
    "HandlerJobTypeSpec": _spec(
        "handler",
        described(NAME_SCHEMA, "A handler that the operator installed, or a built-in one."),
        "http",
        description="Python code that the operator installed does the work.",
    ),
    "JobTypeSpec": {
        "description": "A job type to make or replace.",
        "oneOf": [ref("HttpJobTypeSpec"), ref("HandlerJobTypeSpec")],
        "discriminator": {
            "propertyName": "executor",
            "mapping": {"http": ref("HttpJobTypeSpec")["$ref"], "handler": ref("HandlerJobTypeSpec")["$ref"]},
        },
    },
    "ShownHttpTarget": _SHOWN_TARGET,
    "JobTypeDisabled": answered(
        {"at": TIME, "reason": {"type": "string"}}, description="Since when a type is switched off, and why."
    ),
    "JobType": answered(
        {
            "id": described(nullable(typeid(ids.JOB_TYPE)), "Null for a type that is built in."),
            "name": NAME_SCHEMA,
            "executor": {"type": "string", "enum": list(POOLS)},
            "built_in": described({"type": "boolean"}, "It belongs to every tenant and cannot be changed."),
            "http": nullable(ref("ShownHttpTarget")),
            "handler": nullable(NAME_SCHEMA),
            "payload_schema": _PAYLOAD_SCHEMA,
            "defaults": ref("JobDefaults"),
            "on_crash": {"type": "string", "enum": ["retry", "discard"]},
            "disabled": described(
                nullable(ref("JobTypeDisabled")),
                "Set while the type is switched off, as by its endpoint's 410: its jobs are accepted and held. A PUT "
                "switches it on, and they go on.",
            ),
            "throttled_until": described(
                nullable(TIME),
                "Set while the type's endpoint is left alone, because it answered 429 or 503 with `Retry-After`: no "
                "job of the type starts until then. A PUT lifts it.",
            ),
            "created_at": nullable(TIME),
            "updated_at": nullable(TIME),
        },
        description="What work a job is, and who does it.",
    ),
    "JobTypePage": page_of("JobType", order="the tenant's own, the newest first, and then those of every tenant"),
}
