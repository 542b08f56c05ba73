"""What a run's endpoint is sent, and what it says of the run later."""

from __future__ import annotations

from typing import Any

from jobservice.jobs.event_examples import COMPLETED_JOB

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
