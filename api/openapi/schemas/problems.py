"""Schemas of problem documents (RFC 9457): one for each code, from the one table of problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import COUNT, JOB_ID, TIME, answered, described
from api.problems import MAX_FAULTS, PAGES_PATH, PROBLEM_TYPES
from tenants.quotas import DEFAULTS

# Which rules a value can break. Clients must expect more of them.
FAULT_CODES = (
    "required",
    "unknown-field",
    "unknown-parameter",
    "wrong-type",
    "out-of-range",
    "too-long",
    "too-short",
    "not-unique",
    "schema-mismatch",
    "too-complex",
    "bad-format",
    "bad-cursor",
    "conflicting-fields",
    "not-supported",
    # In a group of jobs: why one of them would be refused alone.
    "egress-refused",
    "unknown-job-type",
    "payload-too-large",
    "forbidden",
    "quota-exceeded",
    "unique-conflict",
)
FAULT = answered(
    {
        "pointer": described({"type": "string"}, "RFC 6901, into the body; of a parameter `/` and its name."),
        "code": described({"type": "string"}, f"The rule that is broken, such as {', '.join(FAULT_CODES)}."),
        "detail": {"type": "string"},
    },
    description="One broken rule.",
)
# What a problem has beyond the members of every problem.
_MORE: dict[str, dict[str, Any]] = {
    "invalid": {"errors": {"type": "array", "items": ref("Fault"), "minItems": 1, "maxItems": MAX_FAULTS}},
    "unique-conflict": {
        "existing_id": described(
            nullable(JOB_ID), "The job that holds the key; null when it is in a queue that the API key is not for."
        )
    },
    "quota-exceeded": {
        "violated_policies": {"type": "array", "items": {"type": "string", "enum": list(DEFAULTS)}, "minItems": 1},
        "limit": COUNT,
        "used": COUNT,
        "resets_at": described(
            nullable(TIME),
            "When it frees by itself, as `Retry-After` says in seconds; null, without `Retry-After`: when the tenant "
            "makes room.",
        ),
        "errors": {
            "type": "array",
            "description": "Which field asks for more, where it is one.",
            "items": ref("Fault"),
            "minItems": 1,
            "maxItems": 1,
        },
    },
}
# Of those, what is there only when there is something to say.
_OPTIONAL: dict[str, tuple[str, ...]] = {"quota-exceeded": ("errors",)}


def problem_name(code: str) -> str:
    """The name of the schema of a code: `UnknownJobTypeProblem` for `unknown-job-type`."""
    return "".join(word.capitalize() for word in code.split("-")) + "Problem"


def one_problem_of(codes: Sequence[str]) -> dict[str, Any]:
    """The schema of a problem of one of these codes."""
    return {
        "oneOf": [ref(problem_name(code)) for code in codes],
        "discriminator": {
            "propertyName": "code",
            "mapping": {code: ref(problem_name(code))["$ref"] for code in codes},
        },
    }


def _members(code: dict[str, Any], status: dict[str, Any], type_uri: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": {"type": "string", "format": "uri-reference", **type_uri},
        "title": {"type": "string"},
        "status": {"type": "integer", **status},
        "detail": described({"type": "string"}, "A sentence for a person."),
        "code": described({"type": "string", **code}, "Stable; what a program looks at."),
        "request_id": described({"type": "string"}, "Also in the header X-Request-Id."),
    }


def _schema_of(code: str) -> dict[str, Any]:
    kind = PROBLEM_TYPES[code]
    members = _members({"const": code}, {"const": kind.status}, {"const": PAGES_PATH + code})
    return answered(
        {**members, **_MORE.get(code, {})},
        description=f"{kind.title}. {kind.cause} {kind.fix}",
        optional=_OPTIONAL.get(code, ()),
    )


PROBLEM_SCHEMAS: dict[str, Any] = {
    "Fault": FAULT,
    "Problem": {
        **answered(
            _members({"enum": sorted(PROBLEM_TYPES)}, {"minimum": 400, "maximum": 599}, {}),
            description="What every error is answered with, at every address.",
        ),
        "additionalProperties": True,
    },
    **{problem_name(code): _schema_of(code) for code in PROBLEM_TYPES},
}


def problem_example(code: str) -> dict[str, Any]:
    """A document of this code."""
    kind = PROBLEM_TYPES[code]
    example: dict[str, Any] = {
        "type": PAGES_PATH + code,
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}.",
        "code": code,
        "request_id": "0192f0c1a7b97c3e8d5f6a7b8c9d0e1f",
    }
    if code == "invalid":
        fault = {"pointer": "/priority", "code": "out-of-range", "detail": "priority must be between 0 and 9."}
        example["errors"] = [fault]
    if code == "unique-conflict":
        example["existing_id"] = "job_01kvq4wgzme5vsknk084sn02q8"
    if code == "quota-exceeded":
        example |= {"violated_policies": ["job_types"], "limit": 100, "used": 100, "resets_at": None}
    return example
