"""The objects that the document shows as examples. A test holds each against its schema."""

from __future__ import annotations

from typing import Any

from api.openapi.schemas.problems import problem_example
from tenants.quotas import DEFAULTS

SUBMISSION: dict[str, Any] = {
    "type": "invoice.render",
    "payload": {"invoice": 42},
    "queue": "invoices",
    "priority": 0,
    "delay_seconds": 30,
    "timeout_seconds": 60,
    "max_attempts": 20,
    "retry": {"strategy": "exponential", "initial_seconds": 5, "factor": 2, "max_seconds": 3600, "jitter": 0.2},
    "tags": {"customer": "7"},
    "callback_url": "https://shop.example/jobs/ended",
    "metadata": {"trace": "abc"},
}
ECHO: dict[str, Any] = {"type": "echo", "payload": {"hello": "world"}}
HTTP_CALL: dict[str, Any] = {
    "type": "http.request",
    "payload": {"method": "POST", "url": "https://shop.example/reports", "body": {"day": "2027-01-31"}},
}
JOB_CHANGE: dict[str, Any] = {"priority": 5, "run_at": "2027-02-01T06:00:00Z"}

ACCEPTED_JOB: dict[str, Any] = {
    "id": "job_01kvq4wgzme5vsknk084sn02q8",
    "type": "invoice.render",
    "executor": "http",
    "queue": "invoices",
    "state": "scheduled",
    "priority": 0,
    "attempt": 0,
    "max_attempts": 20,
    "crash_count": 0,
    "tags": {"customer": "7"},
    "unique_key_set": False,
    "concurrency_key_set": False,
    "run_at": "2027-01-31T12:00:30.000Z",
    "created_at": "2027-01-31T12:00:00.000Z",
    "available_at": None,
    "dispatched_at": None,
    "started_at": None,
    "finished_at": None,
    "latency_ms": None,
    "duration_ms": None,
    "progress": None,
    "error": None,
    "cancel_requested": False,
    "deduplicated": False,
    "waiting": None,
}
BULK_SUBMISSION: dict[str, Any] = {"mode": "partial", "jobs": [SUBMISSION, {"type": "nobody.knows"}]}
COMPLETED_JOB: dict[str, Any] = {
    **ACCEPTED_JOB,
    "state": "completed",
    "attempt": 1,
    "available_at": "2027-01-31T12:00:30.000Z",
    "dispatched_at": "2027-01-31T12:00:30.011Z",
    "started_at": "2027-01-31T12:00:30.020Z",
    "finished_at": "2027-01-31T12:00:31.250Z",
    "latency_ms": 20,
    "duration_ms": 1230,
}
JOB_WITH_RESULT: dict[str, Any] = {**COMPLETED_JOB, "result": {"pages": 3}}
ATTEMPT: dict[str, Any] = {
    "id": "att_01kvq4xe3te5vsknk084sn02q9",
    "number": 1,
    "epoch": 1,
    "worker": "wrk_01kvq4a0b1e5vsknk084sn02qa",
    "started_at": "2027-01-31T12:00:30.020Z",
    "finished_at": "2027-01-31T12:00:31.250Z",
    "outcome": "completed",
    "error": None,
    "progress": None,
    "log": None,
}
TIMELINE: list[dict[str, Any]] = [
    {
        "id": "evt_01kvq4wgzme5vsknk084sn02q8",
        "seq": 1,
        "type": "job.accepted",
        "at": "2027-01-31T12:00:00.000Z",
        "data": {"queue": "invoices", "priority": 0, "run_at": "2027-01-31T12:00:30.000Z"},
    },
    {
        "id": "evt_01kvq4xe3te5vsknk084sn02q9",
        "seq": 2,
        "type": "attempt.ended",
        "at": "2027-01-31T12:00:31.250Z",
        "data": {
            "attempt_id": "att_01kvq4xe3te5vsknk084sn02q9",
            "number": 1,
            "outcome": "completed",
            "started_at": "2027-01-31T12:00:30.020Z",
            "error_code": None,
        },
    },
]

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
        "signing": {"scheme": "v1", "own": False},
    },
    "handler": None,
    "payload_schema": None,
    "defaults": {"queue": "invoices", "timeout_seconds": 60},
    "on_crash": "retry",
    "created_at": "2027-01-31T11:00:00.000Z",
    "updated_at": "2027-01-31T11:00:00.000Z",
}
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
    "limits": dict(DEFAULTS),
}
SIGNING_SECRET: dict[str, Any] = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3NkZ0Yy6B1c=",
    "public_key": None,
    "previous_valid_until": None,
}

EVENT: dict[str, Any] = {
    "type": "job.completed",
    "timestamp": "2027-01-31T12:00:31.250Z",
    "data": {"job": COMPLETED_JOB, "metadata": {"trace": "abc"}, "result_included": True, "result": {"pages": 3}},
}
JOB_RUN: dict[str, Any] = {
    "type": "job.run",
    "timestamp": "2027-01-31T12:00:30.021Z",
    "data": {
        "job": {
            name: COMPLETED_JOB[name]
            for name in ("id", "type", "executor", "queue", "priority", "attempt", "max_attempts", "crash_count")
        }
        | {
            "state": "executing",
            "tags": {"customer": "7"},
            "run_at": COMPLETED_JOB["run_at"],
            "created_at": COMPLETED_JOB["created_at"],
        },
        "payload": {"invoice": 42},
        "attempt": 1,
        "epoch": 1,
        "deadline": "2027-01-31T12:01:30.021Z",
    },
}

BULK_RESULT: dict[str, Any] = {
    "data": [
        {"index": 0, "status": 201, "job": ACCEPTED_JOB},
        {"index": 1, "status": 422, "problem": problem_example("unknown-job-type")},
    ]
}


def page(*entries: dict[str, Any]) -> dict[str, Any]:
    """The entries as the last page of a list."""
    return {"data": list(entries), "next_cursor": None}


def event_of(state: str) -> dict[str, Any]:
    """The event of a job that ended in this state."""
    if state == "completed":
        return EVENT
    error = {"code": "handler-error", "message": "RuntimeError: the printer is on fire"}
    job = {**COMPLETED_JOB, "state": state, "error": error}
    return {**EVENT, "type": f"job.{state}", "data": {"job": job, "result_included": False, "result": None}}
