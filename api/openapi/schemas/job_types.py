"""Schemas of job types."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.jobs import OPTIONS
from api.openapi.schemas.values import HEADERS, NAME_SCHEMA, TIME, URL, answered, described, page_of, typeid, written
from jobservice import ids
from jobservice.jobs.job_type_spec import MASK, MAX_HEADERS, SIGNING
from jobservice.jobs.job_types import POOLS
from jobservice.jobs.schema_compiling import MAX_SCHEMA_BYTES

_SIGNING: dict[str, Any] = {
    "type": "object",
    "description": "Calls are signed under the tenant's default secret, by Standard Webhooks v1.",
    "properties": {
        "scheme": {"type": "string", "const": SIGNING["scheme"]},
        "own": {"type": "boolean", "const": SIGNING["own"]},
    },
    "required": list(SIGNING),
    "additionalProperties": False,
}
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
        "signing": nullable(_SIGNING),
    },
    required=("url",),
    description="Where the jobs of the type are POSTed to.",
)
_SHOWN_TARGET = answered(
    {
        "url": {"type": "string"},
        "headers": {"type": "object", "additionalProperties": {"const": MASK, "type": "string"}},
        "signing": _SIGNING,
    },
    description="Where the jobs of the type are POSTed to; of the headers only the names are shown.",
)
_PAYLOAD_SCHEMA: dict[str, Any] = {
    "type": ["object", "boolean", "null"],
    "description": "What payloads of the type must look like: JSON Schema 2020-12 that refers to nothing outside "
    f"itself, of up to {MAX_SCHEMA_BYTES // 1024} KiB. Shown as it was sent.",
}
_ON_CRASH: dict[str, Any] = {"type": ["string", "null"], "enum": ["retry", None]}


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
            "on_crash": {"type": "string", "enum": ["retry"]},
            "created_at": nullable(TIME),
            "updated_at": nullable(TIME),
        },
        description="What work a job is, and who does it.",
    ),
    "JobTypePage": page_of("JobType", order="the tenant's own, the newest first, and then those of every tenant"),
}
