"""Job types, and their signing."""

from __future__ import annotations

from typing import Any

from api.openapi.examples.webhooks import SIGNING_SECRET

JOB_TYPE_SPEC: dict[str, Any] = {
    "executor": "http",
    "http": {"url": "https://shop.example/render", "headers": {"X-Token": "secret"}},
    "defaults": {"queue": "invoices", "timeout_seconds": 60},
}
HANDLER_SPEC: dict[str, Any] = {"executor": "handler", "handler": "echo", "defaults": {"priority": 5}}
JOB_TYPE: dict[str, Any] = {
    "id": "typ_01kvq4a0b1e5vsknk084sn02qb",
    "name": "invoice.render",
    "executor": "http",
    "built_in": False,
    "http": {
        "url": "https://shop.example/render",
        "headers": {"X-Token": "***"},
        "signing": {"scheme": "v1", "own": False, "public_key": None},
    },
    "handler": None,
    "payload_schema": None,
    "defaults": {"queue": "invoices", "timeout_seconds": 60},
    "on_crash": "retry",
    "disabled": None,
    "throttled_until": None,
    "created_at": "2027-01-31T11:00:00.000Z",
    "updated_at": "2027-01-31T11:00:00.000Z",
}
SIGNED_TYPE_SPEC: dict[str, Any] = {
    **JOB_TYPE_SPEC,
    "http": {**JOB_TYPE_SPEC["http"], "signing": {"scheme": "v1", "own": True}},
}
SIGNED_TYPE: dict[str, Any] = {
    **JOB_TYPE,
    "http": {
        **JOB_TYPE["http"],
        "signing": {"scheme": "v1", "own": True, "public_key": None, "secret": SIGNING_SECRET["secret"]},
    },
}
