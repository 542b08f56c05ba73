"""The objects that the document shows as examples. A test holds each against its schema."""

from __future__ import annotations

from typing import Any

from api.openapi.schemas.problems import problem_example
from jobservice.jobs.event_examples import ACCEPTED_JOB, COMPLETED_JOB
from tenants.quotas import DEFAULTS

SUBMISSION: dict[str, Any] = {
    "type": "invoice.render",
    "payload": {"invoice": 42},
    "queue": "invoices",
    "priority": 0,
    "delay_seconds": 30,
    "start_deadline_seconds": 3600,
    "timeout_seconds": 60,
    "max_attempts": 20,
    "retry": {"strategy": "exponential", "initial_seconds": 5, "factor": 2, "max_seconds": 3600, "jitter": 0.2},
    "unique": {"key": "invoice-42", "while": "unfinished", "on_conflict": "return"},
    "tags": {"customer": "7"},
    "callback_url": "https://shop.example/jobs/ended",
    "metadata": {"trace": "abc"},
}
ECHO: dict[str, Any] = {"type": "echo", "payload": {"hello": "world"}}
HTTP_CALL: dict[str, Any] = {
    "type": "http.request",
    "payload": {"method": "POST", "url": "https://shop.example/reports", "body": {"day": "2027-01-31"}},
}
LATEST_ONLY: dict[str, Any] = {
    "type": "search.reindex",
    "payload": {"shop": 7, "reason": "prices changed"},
    "delay_seconds": 60,
    "unique": {
        "fields": ["type"],
        "payload_pointers": ["/shop"],
        "while": "waiting",
        "on_conflict": "replace",
    },
}
JOB_CHANGE: dict[str, Any] = {"priority": 5, "run_at": "2027-02-01T06:00:00Z"}

DEDUPLICATED_JOB: dict[str, Any] = {**ACCEPTED_JOB, "deduplicated": True}
BULK_SUBMISSION: dict[str, Any] = {"mode": "partial", "jobs": [SUBMISSION, {"type": "nobody.knows"}, SUBMISSION]}
CANCELLED_JOB: dict[str, Any] = {
    **ACCEPTED_JOB,
    "state": "cancelled",
    "finished_at": "2027-01-31T12:00:12.500Z",
    "error": {"code": "cancelled", "message": None},
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
    "progress": {"percent": 100.0, "message": "3 of 3 pages"},
    "log": [{"at": "2027-01-31T12:00:30.310Z", "level": "info", "message": "The first page is drawn."}],
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
QUEUE_SETTINGS: dict[str, Any] = {"concurrency": 2, "rate": {"limit": 10, "period_seconds": 60}}
QUEUE: dict[str, Any] = {
    "name": "invoices",
    "concurrency": 2,
    "key_concurrency": 1,
    "rate": {"limit": 10, "period_seconds": 60, "burst": 10},
    "paused": False,
    "retention_days": None,
    "created_at": "2027-01-31T11:00:00.000Z",
    "counts": {"scheduled": 1, "available": 12, "dispatched": 0, "executing": 2, "retryable": 0, "suspended": 0},
    "counts_estimated": False,
    "running": 2,
    "oldest_due_at": "2027-01-31T11:59:48.120Z",
    "oldest_due_seconds": 42,
}
PAUSED_QUEUE: dict[str, Any] = {**QUEUE, "paused": True}
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
SIGNING_SECRET: dict[str, Any] = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3NkZ0Yy6B1c=",
    "public_key": "whpk_ZMdcrPxgjMPIHgpXqiWQ/RMGzpBuaC+DInjIuKyXShk=",
    "previous_valid_until": None,
}
ROTATED_SECRET: dict[str, Any] = {**SIGNING_SECRET, "previous_valid_until": "2027-02-01T12:00:00.000Z"}
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

COMPLETION: dict[str, Any] = {"outcome": "completed", "result": {"pages": 3}}
FAILED_COMPLETION: dict[str, Any] = {
    "outcome": "failed",
    "error": {"code": "printer-busy", "message": "The printer is busy."},
    "retry_after_seconds": 60,
}
SNOOZED_COMPLETION: dict[str, Any] = {"outcome": "snoozed", "snooze_seconds": 3600}
COMPLETED_RUN: dict[str, Any] = {"id": COMPLETED_JOB["id"], "state": "completed"}
EXTENSION: dict[str, Any] = {"seconds": 600}
PROGRESS_REPORT: dict[str, Any] = {"percent": 40, "message": "Page 2 of 5"}
EXTENDED_LEASE: dict[str, Any] = {"lease_expires_at": "2027-01-31T12:11:30.021Z", "cancel_requested": False}

BULK_RESULT: dict[str, Any] = {
    "data": [
        {"index": 0, "status": 201, "job": ACCEPTED_JOB},
        {"index": 1, "status": 422, "problem": problem_example("unknown-job-type")},
        {"index": 2, "status": 200, "job": DEDUPLICATED_JOB},
    ]
}

BULK_ACTION_REQUEST: dict[str, Any] = {
    "action": "cancel",
    "filter": {"state": "scheduled", "queue": "invoices", "tag": {"customer": "7"}},
    "max": 5000,
}
BULK_ACTION: dict[str, Any] = {
    "id": "bat_01kvq4wgzme5vsknk084sn02q8",
    "action": "cancel",
    "endpoint_id": None,
    "filter": {"state": "scheduled", "queue": "invoices", "tag": ["customer:7"]},
    "max": 5000,
    "status": "completed",
    "matched": 42,
    "done": 41,
    "skipped": 1,
    "error": None,
    "created_at": "2027-01-31T12:00:00.000Z",
    "finished_at": "2027-01-31T12:00:00.310Z",
}
RUNNING_BULK_ACTION: dict[str, Any] = {
    **BULK_ACTION,
    "status": "running",
    "matched": 4210,
    "done": 350,
    "skipped": 0,
    "finished_at": None,
}
ABORTED_BULK_ACTION: dict[str, Any] = {
    **RUNNING_BULK_ACTION,
    "status": "aborted",
    "finished_at": "2027-01-31T12:00:04.000Z",
}

REPLAY_REQUEST: dict[str, Any] = {"since": "2027-01-31T12:00:00Z"}
REPLAY: dict[str, Any] = {
    **BULK_ACTION,
    "action": "replay",
    "endpoint_id": ENDPOINT["id"],
    "filter": {"since": "2027-01-31T12:00:00Z", "states": ["failed"], "events": ["*"]},
    "max": 100_000,
}
RUNNING_REPLAY: dict[str, Any] = {
    **REPLAY,
    "status": "running",
    "matched": 4210,
    "done": 350,
    "skipped": 0,
    "finished_at": None,
}


def page(*entries: dict[str, Any]) -> dict[str, Any]:
    """The entries as the last page of a list."""
    return {"data": list(entries), "next_cursor": None}
