"""Schemas of the service's own answers."""

from __future__ import annotations

from typing import Any

from api.openapi.schemas.values import answered

SERVICE_SCHEMAS: dict[str, Any] = {
    "Health": answered({"status": {"type": "string", "const": "ok"}}, description="The process is up."),
    "Readiness": answered(
        {
            "status": {"type": "string", "const": "ready"},
            "warning": {"type": "string", "description": "What is away that can be done without for a while."},
        },
        description="The service can do its work.",
        optional=("warning",),
    ),
    "OpenApiDocument": {"type": "object", "description": "An OpenAPI 3.1 document.", "additionalProperties": True},
}
