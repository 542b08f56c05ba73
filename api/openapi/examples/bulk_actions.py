"""Bulk actions, and the replay of deliveries, which is one."""

from __future__ import annotations

from typing import Any

from api.openapi.examples.webhooks import ENDPOINT

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
