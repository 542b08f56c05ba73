"""Schemas of what belongs to the tenant itself."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable
from api.openapi.schemas.values import TIME, answered, described, typeid
from jobservice import ids
from tenants.quotas import DEFAULTS

TENANT_SCHEMAS: dict[str, Any] = {
    "Tenant": answered(
        {
            "id": typeid(ids.TENANT),
            "name": {"type": "string"},
            "status": {"type": "string", "enum": ["active", "suspended"]},
            "weight": described({"type": "integer", "minimum": 1}, "Its share in the order of work."),
            "limits": answered(
                {name: {"type": ["integer", "null"]} for name in DEFAULTS}, description="By name; null is no limit."
            ),
        },
        description="The tenant about itself.",
    ),
    "SigningSecret": answered(
        {
            "secret": {"type": "string", "pattern": "^whsec_[0-9A-Za-z+/]+={0,2}$"},
            "public_key": described({"type": "null"}, "For asymmetric signatures, which are not made yet."),
            "previous_valid_until": described(nullable(TIME), "Until then the secret before this one signs as well."),
        },
        description="What receivers verify the service's requests with (Standard Webhooks).",
    ),
}
