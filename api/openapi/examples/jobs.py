"""Jobs: what is posted, and what is answered."""

from __future__ import annotations

from typing import Any

from api.openapi.schemas.problems import problem_example
from jobservice.jobs.event_examples import ACCEPTED_JOB, COMPLETED_JOB

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
BULK_RESULT: dict[str, Any] = {
    "data": [
        {"index": 0, "status": 201, "job": ACCEPTED_JOB},
        {"index": 1, "status": 422, "problem": problem_example("unknown-job-type")},
        {"index": 2, "status": 200, "job": DEDUPLICATED_JOB},
    ]
}
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
