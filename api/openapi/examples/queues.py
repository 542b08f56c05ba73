"""Queues."""

from __future__ import annotations

from typing import Any

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
