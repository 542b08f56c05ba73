"""Schemas of what belongs to the tenant itself."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable
from api.openapi.schemas.values import TIME, answered, described, page_of, typeid
from jobservice import ids
from tenants.acting import ACTOR_TYPES
from tenants.audit_catalogue import ACTIONS, FIELDS
from tenants.quotas import DEFAULTS, ENFORCED


def _keeping(name: str) -> str:
    return "Enforced: what goes beyond it is refused." if name in ENFORCED else "Not enforced yet: nothing is refused."


_ACTIONS = " ".join(f"`{action}`: {text}" for action, text in ACTIONS.items())

TENANT_SCHEMAS: dict[str, Any] = {
    "Tenant": answered(
        {
            "id": typeid(ids.TENANT),
            "name": {"type": "string"},
            "status": {"type": "string", "enum": ["active", "suspended"]},
            "weight": described({"type": "integer", "minimum": 1}, "Its share in the order of work."),
            "plan": described({"type": ["string", "null"]}, "The operator's name for its set of limits; null is none."),
            "limits": answered(
                {name: described({"type": ["integer", "null"]}, _keeping(name)) for name in DEFAULTS},
                description="By name; null is no limit. Not all of them are enforced yet.",
            ),
        },
        description="The tenant about itself.",
    ),
    "Usage": answered(
        {
            "name": {"type": "string", "enum": list(DEFAULTS)},
            "limit": described({"type": ["integer", "null"], "minimum": 0}, "Null is no limit."),
            "used": described(
                {"type": ["integer", "null"]},
                "Null of a quota that nothing is held of, such as the size of one payload.",
            ),
            "resets_at": described(nullable(TIME), "When it frees by itself; null when by what the tenant does."),
        },
        description="One quota: how much there may be, and how much there is.",
    ),
    "UsageList": answered(
        {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Usage"}}},
        description="Every quota of the tenant.",
    ),
    "AuditEvent": answered(
        {
            "id": typeid(ids.AUDIT_EVENT),
            "seq": described({"type": "integer", "minimum": 1}, "Its number in the tenant's log; there are no gaps."),
            "at": TIME,
            "actor": answered(
                {
                    "type": {"type": "string", "enum": list(ACTOR_TYPES)},
                    "id": described({"type": ["string", "null"]}, "Of a key or a member."),
                    "command": described({"type": ["string", "null"]}, "The operator's."),
                },
                description="Who did it.",
            ),
            "action": described({"type": "string", "enum": list(ACTIONS)}, _ACTIONS),
            "object": answered(
                {
                    "type": {"type": "string", "enum": list(FIELDS)},
                    "id": described({"type": "string"}, "Of a queue, a job type or a signing secret its name."),
                },
                description="What it was done to.",
            ),
            "before": described({"type": ["object", "null"]}, "What differs now, as it was; nothing secret."),
            "after": described(
                {"type": ["object", "null"]}, "What differs now, as it is; of what is sealed, that it `changed`."
            ),
            "address": described({"type": ["string", "null"]}, "Where the request came from."),
            "request_id": {"type": ["string", "null"]},
            "hash": described({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "Of the event and the hash before it."),
        },
        description="Something that was done.",
    ),
    "AuditEventPage": page_of("AuditEvent", order="the newest first"),
}
