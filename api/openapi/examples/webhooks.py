"""Webhook endpoints, their secrets and deliveries."""

from __future__ import annotations

from typing import Any

SIGNING_SECRET: dict[str, Any] = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3NkZ0Yy6B1c=",
    "public_key": "whpk_ZMdcrPxgjMPIHgpXqiWQ/RMGzpBuaC+DInjIuKyXShk=",
    "previous_valid_until": None,
}
ROTATED_SECRET: dict[str, Any] = {**SIGNING_SECRET, "previous_valid_until": "2027-02-01T12:00:00.000Z"}
ENDPOINT_REQUEST: dict[str, Any] = {
    "url": "https://shop.example/events",
    "events": ["job.completed", "job.discarded"],
    "queues": ["invoices"],
    "headers": {"X-Team": "billing"},
    "signing": {"own": True},
}
ENDPOINT: dict[str, Any] = {
    "id": "end_01kvq4a0b1e5vsknk084sn02qe",
    "url": "https://shop.example/events",
    "events": ["job.completed", "job.discarded"],
    "queues": ["invoices"],
    "types": None,
    "headers": {"X-Team": "***"},
    "signing": {"scheme": "v1", "own": True, "public_key": None},
    "status": "enabled",
    "status_reason": None,
    "failing_since": None,
    "created_at": "2027-01-31T11:00:00.000Z",
    "updated_at": "2027-01-31T11:00:00.000Z",
}
NEW_ENDPOINT: dict[str, Any] = {**ENDPOINT, "signing": {**ENDPOINT["signing"], "secret": SIGNING_SECRET["secret"]}}
DELIVERY: dict[str, Any] = {
    "id": "dlv_01kvq4xe3te5vsknk084sn02qf",
    "event": {
        "id": "evt_01kvq4xe3te5vsknk084sn02q9",
        "type": "job.completed",
        "at": "2027-01-31T12:00:31.250Z",
    },
    "job_id": "job_01kvq4wgzme5vsknk084sn02q8",
    "state": "pending",
    "attempt": 1,
    "next_attempt_at": "2027-01-31T12:00:36.610Z",
    "created_at": "2027-01-31T12:00:31.250Z",
    "finished_at": None,
    "attempts": [
        {
            "id": "att_01kvq4xe3te5vsknk084sn02qg",
            "number": 1,
            "at": "2027-01-31T12:00:31.290Z",
            "status": 503,
            "duration_ms": 41,
            "error": None,
            "next_attempt_at": "2027-01-31T12:00:36.610Z",
        }
    ],
}
ANSWERED_DELIVERY: dict[str, Any] = {
    **DELIVERY,
    "attempts": [{**DELIVERY["attempts"][0], "answer": "upstream connect error"}],
}
TEST_DELIVERY: dict[str, Any] = {
    **DELIVERY,
    "event": {**DELIVERY["event"], "type": "webhook.test"},
    "job_id": None,
    "attempt": 0,
    "next_attempt_at": "2027-01-31T12:00:31.250Z",
    "attempts": [],
}
EVENT_TYPES: dict[str, Any] = {
    "data": [
        {
            "name": "webhook.test",
            "description": "Somebody has an endpoint tested.",
            "schema": {"type": "object", "required": ["type", "timestamp", "data"]},
        }
    ]
}
