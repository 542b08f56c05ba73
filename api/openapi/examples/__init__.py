"""The objects that the document shows as examples. A test holds each against its schema."""

from __future__ import annotations

from typing import Any

from api.openapi.examples import bulk_actions, job_types, jobs, queues, runs, tenants, webhooks

__all__ = ["bulk_actions", "job_types", "jobs", "page", "queues", "runs", "tenants", "webhooks"]


def page(*entries: dict[str, Any]) -> dict[str, Any]:
    """The entries as the last page of a list."""
    return {"data": list(entries), "next_cursor": None}
