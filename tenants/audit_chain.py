"""The chain of a tenant's audit events: pure functions that make it and find where it is broken. No database.

1. The row of an event is one JSON text: its members sorted, no white space, UTF-8; see `canonical_row`.
2. Its hash is SHA-256 of the hash before it, 32 bytes, and that text; before the first event are 32 zero bytes.
3. The head names the last event's number and hash, signed under the audit key (`audit_key.py`). So whoever can write to
   the database, but cannot open that key, can neither cut the end off nor write the chain anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from jobservice.crypto.framing import frame
from jobservice.ids import AUDIT_EVENT, TENANT, show_id
from tenants.models import AuditEvent

GENESIS = bytes(32)
_HEAD_LABEL = b"audit-head/v1"


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a chain: the number of the last event, and its hash."""

    seq: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Break:
    """The first event that is not what it was, and why: a sentence. `event_id` is None for one that is missing."""

    seq: int
    event_id: UUID | None
    reason: str


def canonical_json(value: object) -> str:
    """The one text of a value. What `json.loads` makes of it has the same text again."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_row(event: AuditEvent) -> str:
    """All of an event but its hash, as it is hashed."""
    return canonical_json(
        {
            "tenant": show_id(TENANT, event.tenant_id),
            "seq": event.seq,
            "id": show_id(AUDIT_EVENT, event.id),
            "at": _show_instant(event.at),
            "actor": {"type": event.actor_type, "id": event.actor_id, "command": event.command},
            "action": event.action,
            "object": {"type": event.object_type, "id": event.object_id},
            "before": _read(event.before),
            "after": _read(event.after),
            "address": event.address,
            "request_id": event.request_id,
        }
    )


def next_hash(previous: bytes, row: str) -> bytes:
    """The hash of an event after the one with the hash `previous`."""
    return hashlib.sha256(previous + row.encode()).digest()


def head_message(tenant_id: UUID, place: Place) -> bytes:
    """What is signed of a head."""
    return frame(_HEAD_LABEL, tenant_id.bytes, place.seq.to_bytes(8, "big"), place.hash)


def follow(start: Place, events: Iterable[AuditEvent]) -> Place | Break:
    """Walk events in the order of their numbers; the place after the last, or the first break."""
    place = start
    for event in events:
        if event.seq != place.seq + 1:
            return Break(place.seq + 1, None, "it is missing")
        hashed = next_hash(place.hash, canonical_row(event))
        if hashed != bytes(event.hash):
            return Break(event.seq, event.id, "it, or the one before it, is not what was written")
        place = Place(event.seq, hashed)
    return place


def _show_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
