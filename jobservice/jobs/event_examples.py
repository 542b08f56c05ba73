"""An event of each type as a receiver gets it, to be shown where events are explained; held against the schemas."""

from __future__ import annotations

from typing import Any

from jobservice.jobs.states import FINAL_STATES

_ENDPOINT = "end_01kvq4a0b1e5vsknk084sn02qe"
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
    "retry_of": None,
    "tags": {"customer": "7"},
    "unique_key_set": True,
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
EVENT: dict[str, Any] = {
    "type": "job.completed",
    "timestamp": "2027-01-31T12:00:31.250Z",
    "data": {
        "job": COMPLETED_JOB,
        "seq": 1,
        "metadata": {"trace": "abc"},
        "result_included": True,
        "result": {"pages": 3},
    },
}
# What some events of jobs tell besides the job, and the events that are of no job.
_BESIDES: dict[str, dict[str, Any]] = {
    "job.suspended": {"reason": "crashes"},
    "job.retrying": {"retry_in_seconds": 5.2},
}
_OF_NO_JOB: dict[str, dict[str, Any]] = {
    "endpoint.disabled": {"endpoint": {"id": _ENDPOINT, "status": "disabled", "status_reason": "gone"}},
    "quota.warning": {"quota": {"name": "open_jobs", "limit": 100_000, "used": 80_000}},
    "webhook.test": {"endpoint": {"id": _ENDPOINT}},
}


def event_of(type_name: str) -> dict[str, Any]:
    """An event of this type."""
    if type_name in _OF_NO_JOB:
        return {**EVENT, "type": type_name, "data": _OF_NO_JOB[type_name]}
    if type_name == "job.completed":
        return EVENT
    state = type_name.removeprefix("job.").replace("retrying", "retryable")
    error = {"code": "handler-error", "message": "RuntimeError: the printer is on fire"}
    is_over = state in FINAL_STATES
    job = {**COMPLETED_JOB, "state": state, "error": error, **({} if is_over else {"finished_at": None})}
    data = {"job": job, "seq": 1, "result_included": False, "result": None}
    return {**EVENT, "type": type_name, "data": {**_BESIDES.get(type_name, {}), **data}}
