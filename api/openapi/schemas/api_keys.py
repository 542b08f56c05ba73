"""Schemas of API keys."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable
from api.openapi.schemas.values import (
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
from tenants.api_key_changes import MAX_OVERLAP_SECONDS
from tenants.api_key_format import PREFIX
from tenants.api_key_requests import MAX_CIDRS, MAX_QUEUES, NAME_CHARACTERS
from tenants.api_keys import SCOPES

_SCOPES: dict[str, Any] = {"type": "array", "items": {"type": "string", "enum": list(SCOPES)}}
_KEY: dict[str, Any] = {
    "id": typeid(ids.API_KEY),
    "name": {"type": "string"},
    "prefix": described({"type": "string", "pattern": f"^{PREFIX}[0-9A-Za-z]{{12}}$"}, "How the key's text begins."),
    "scopes": _SCOPES,
    "queues": described({"type": ["array", "null"], "items": NAME_SCHEMA}, "Those it reaches; null: all."),
    "cidrs": described(
        {"type": ["array", "null"], "items": {"type": "string"}}, "Where it works from; null: anywhere."
    ),
    "created_at": TIME,
    "expires_at": nullable(TIME),
    "last_used_at": described(nullable(TIME), "To the minute."),
    "rotated_at": nullable(TIME),
    "previous_valid_until": described(nullable(TIME), "Until then the text before the last rotation works as well."),
    "revoked_at": nullable(TIME),
}

API_KEY_SCHEMAS: dict[str, Any] = {
    "ApiKeyRequest": written(
        {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": NAME_CHARACTERS,
                "pattern": "^[^\\u0000-\\u001f]*$",
            },
            "scopes": {**_SCOPES, "minItems": 1, "maxItems": len(SCOPES)},
            "queues": {
                "type": ["array", "null"],
                "items": NAME_SCHEMA,
                "minItems": 1,
                "maxItems": MAX_QUEUES,
                "description": "The queues whose jobs it reaches; all unless given.",
            },
            "cidrs": {
                "type": ["array", "null"],
                "items": {"type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"},
                "minItems": 1,
                "maxItems": MAX_CIDRS,
                "description": "The networks it works from, such as `192.0.2.0/24`; anywhere unless given.",
            },
            "expires_at": described(nullable(GIVEN_TIME), "In the future; never unless given."),
        },
        required=("name", "scopes"),
        description="A key to make. It may do no more, in no more queues, from no more networks and for no longer than "
        "the key that makes it.",
    ),
    "RotationRequest": written(
        {
            "overlap_seconds": described(
                nullable(integer(0, MAX_OVERLAP_SECONDS)), "How long the old text still works. 0 unless given."
            )
        },
        description="How to replace a key's text.",
    ),
    "ApiKey": answered(_KEY, description="A key, without its text."),
    "NewApiKey": answered(
        {**_KEY, "key": described({"type": "string", "pattern": f"^{PREFIX}"}, "The whole key. Shown this once.")},
        description="A key with its text.",
    ),
    "ApiKeyPage": page_of("ApiKey", order="the newest first; those that are over among them"),
}
