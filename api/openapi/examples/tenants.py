"""A tenant's own things: keys, limits and usage, figures, errors, audit log."""

from __future__ import annotations

from typing import Any

from tenants.quotas import DEFAULTS

API_KEY_REQUEST: dict[str, Any] = {"name": "mailer", "scopes": ["jobs:write"], "queues": ["mail"]}
API_KEY: dict[str, Any] = {
    "id": "key_01kvq4a0b1e5vsknk084sn02qc",
    "name": "mailer",
    "prefix": "js_live_4fT9Qm2LzX8a",
    "scopes": ["jobs:write"],
    "queues": ["mail"],
    "cidrs": None,
    "created_at": "2027-01-31T11:00:00.000Z",
    "expires_at": None,
    "last_used_at": None,
    "rotated_at": None,
    "previous_valid_until": None,
    "revoked_at": None,
}
NEW_API_KEY: dict[str, Any] = {**API_KEY, "key": "js_live_4fT9Qm2LzX8a_…"}
TENANT: dict[str, Any] = {
    "id": "tnt_01kvq4a0b1e5vsknk084sn02qd",
    "name": "acme",
    "status": "active",
    "weight": 1,
    "plan": "starter",
    "limits": dict(DEFAULTS),
}
USAGE: dict[str, Any] = {
    "data": [
        {"name": "open_jobs", "limit": 100_000, "used": 41_300, "resets_at": None},
        {"name": "jobs_per_day", "limit": 500_000, "used": 120_000, "resets_at": "2027-02-01T00:00:00.000Z"},
        {"name": "payload_bytes", "limit": 1_048_576, "used": None, "resets_at": None},
    ]
}
_STATISTIC: dict[str, Any] = {
    "accepted": 240,
    "completed": 231,
    "discarded": 2,
    "cancelled": 1,
    "retried": 5,
    "wait_ms": {"p50": 11.2, "p95": 112.0, "p99": 447.0},
    "run_ms": {"p50": 282.0, "p95": 1120.0, "p99": 3550.0},
}
STATISTICS: dict[str, Any] = {
    "since": "2027-01-31T11:55:00.000Z",
    "until": "2027-01-31T12:00:00.000Z",
    "step": "5m",
    "total": _STATISTIC,
    "data": [{"at": "2027-01-31T11:55:00.000Z", **_STATISTIC}],
}
ERROR_GROUP: dict[str, Any] = {
    "id": "err_4q3w8zmebz8vsrnk084sn02qer",
    "type": "invoice.render",
    "code": "handler-error",
    "message": "RuntimeError: the printer 4 is on fire",
    "state": "open",
    "state_changed_at": None,
    "runs": 17,
    "runs_by_hour": [0] * 22 + [5, 12],
    "first_seen_at": "2027-01-31T10:12:09.120Z",
    "last_seen_at": "2027-01-31T11:59:48.003Z",
}
RESOLVED_ERROR_GROUP: dict[str, Any] = {
    **ERROR_GROUP,
    "state": "resolved",
    "state_changed_at": "2027-01-31T12:00:00.000Z",
}
AUDIT_EVENT: dict[str, Any] = {
    "id": "aud_01kvq4a0b1e5vsknk084sn02qh",
    "seq": 17,
    "at": "2027-01-31T12:00:00.000Z",
    "actor": {"type": "api-key", "id": "key_01kvq4a0b1e5vsknk084sn02qc", "command": None},
    "action": "queue.updated",
    "object": {"type": "queue", "id": "invoices"},
    "before": {"paused": False},
    "after": {"paused": True},
    "address": "192.0.2.7",
    "request_id": "019c1f6c5d8a7f3e9b1d2c4a6e8f0a1b",
    "hash": "5f1c0c6b1d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a",
}
