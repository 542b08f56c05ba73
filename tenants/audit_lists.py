"""Finds events of a tenant's audit log, the newest first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jobservice.ids import AUDIT_EVENT, show_id
from tenants.acting import ACTOR_TYPES, API_KEY, MEMBER, OPERATOR
from tenants.context import tenant_tx
from tenants.models import AuditEvent


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """Which events are wanted; None is all. `actor` is the id of a key or member, or a type of actor."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_audit_events(
    tenant_id: UUID, filters: AuditFilters, *, limit: int, before: int | None = None
) -> list[AuditEvent]:
    """The newest events of those with a number below `before`."""
    events = AuditEvent.objects.filter(tenant_id=tenant_id)
    if before is not None:
        events = events.filter(seq__lt=before)
    if filters.actor in ACTOR_TYPES:
        events = events.filter(actor_type=filters.actor)
    elif filters.actor is not None:
        # The operator's login is not told, nor is it to be guessed.
        events = events.filter(actor_id=filters.actor).exclude(actor_type=OPERATOR)
    if filters.action is not None:
        events = events.filter(action=filters.action)
    if filters.object is not None:
        events = events.filter(object_id=filters.object)
    if filters.since is not None:
        events = events.filter(at__gte=filters.since)
    if filters.until is not None:
        events = events.filter(at__lt=filters.until)
    with tenant_tx(tenant_id):
        return list(events.order_by("-seq")[:limit])


def represent_audit_event(event: AuditEvent) -> dict[str, Any]:
    """The event as the tenant sees it. Of the operator the command, not who ran it: that is in their own export."""
    is_named = event.actor_type in (API_KEY, MEMBER)
    return {
        "id": show_id(AUDIT_EVENT, event.id),
        "seq": event.seq,
        "at": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "actor": {
            "type": event.actor_type,
            "id": event.actor_id if is_named else None,
            "command": event.command,
        },
        "action": event.action,
        "object": {"type": event.object_type, "id": event.object_id},
        "before": _read(event.before),
        "after": _read(event.after),
        "address": event.address,
        "request_id": event.request_id,
        "hash": bytes(event.hash).hex(),
    }


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
