"""Reads a tenant's audit log: walks its chain and says where it is broken, and exports it.

A chain is walked in pages, each a short transaction: events never change, and what is added meanwhile comes after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jobservice.ids import TENANT, show_id
from tenants.audit_chain import GENESIS, Break, Place, canonical_row, follow, head_message
from tenants.audit_key import audit_key, has_signed
from tenants.context import tenant_tx
from tenants.models import AuditEvent, AuditHead

PAGE_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk came to: the place the chain reaches, and its first break, None when it holds."""

    place: Place
    broken: Break | None


def verify_chain(tenant_id: UUID, *, known: Place | None = None) -> Verified:
    """Walk the tenant's whole chain up to its head. `known`: a place that was noted elsewhere and must be in it.

    Raises `SealingError` and `Unavailable` when the audit key cannot be opened.
    """
    key = audit_key()
    with tenant_tx(tenant_id):
        head = AuditHead.objects.filter(tenant_id=tenant_id).first()
    if head is None:
        return Verified(Place(), Break(0, None, "the head is missing"))
    place = Place()
    while page := _read_page(tenant_id, after=place.seq, up_to=head.seq):
        reached = follow(place, page)
        if isinstance(reached, Break):
            return Verified(place, reached)
        place = reached
    return Verified(place, judge_head(head, place, key=key) or _find_stray(tenant_id) or _judge_known(tenant_id, known))


def judge_head(head: AuditHead, place: Place, *, key: bytes) -> Break | None:
    """What is wrong with a head, given the place that its chain reaches and the audit key; None when nothing is."""
    if place.seq < head.seq:
        return Break(place.seq + 1, None, f"it is missing, with all up to {head.seq}: the end was cut off")
    if place.hash != bytes(head.hash):
        return Break(head.seq, None, "the head names another hash than the event has")
    if head.seq == 0:
        return None
    is_signed = has_signed(key, bytes(head.signature or b""), head_message(head.tenant_id, place))
    return None if is_signed else Break(head.seq, None, "the head is not signed by this installation")


def export_lines(tenant_id: UUID, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The events as they were hashed, the oldest first, from this time on; last the place that was reached.

    Each has the hash before it, so that whoever has the lines can follow the chain: see docs/audit.md.
    """
    place = _place_before(tenant_id, since)
    while page := _read_page(tenant_id, after=place.seq):
        for event in page:
            row = canonical_row(event)
            yield {"seq": event.seq, "previous": place.hash.hex(), "hash": bytes(event.hash).hex(), "row": row}
            place = Place(event.seq, bytes(event.hash))
    yield {"tenant": show_id(TENANT, tenant_id), "head": {"seq": place.seq, "hash": place.hash.hex()}}


def _read_page(tenant_id: UUID, *, after: int, up_to: int | None = None) -> list[AuditEvent]:
    events = AuditEvent.objects.filter(tenant_id=tenant_id, seq__gt=after)
    if up_to is not None:
        events = events.filter(seq__lte=up_to)
    with tenant_tx(tenant_id):
        return list(events.order_by("seq")[:PAGE_EVENTS])


def _place_before(tenant_id: UUID, since: datetime | None) -> Place:
    """Where an export begins. Before the first event there is nothing, whatever its number says."""
    if since is None:
        return Place()
    with tenant_tx(tenant_id):
        earlier = AuditEvent.objects.filter(tenant_id=tenant_id, at__lt=since).order_by("-seq").first()
    return Place() if earlier is None else Place(earlier.seq, bytes(earlier.hash))


def _find_stray(tenant_id: UUID) -> Break | None:
    """An event beyond the head. One statement, so that head and events are of one moment."""
    with tenant_tx(tenant_id):
        head = AuditHead.objects.filter(tenant_id=tenant_id).values("seq")[:1]
        stray = AuditEvent.objects.filter(tenant_id=tenant_id, seq__gt=head).order_by("seq").first()
    return None if stray is None else Break(stray.seq, stray.id, "it lies beyond the head")


def _judge_known(tenant_id: UUID, known: Place | None) -> Break | None:
    if known is None or known == Place(0, GENESIS):
        return None
    with tenant_tx(tenant_id):
        event = AuditEvent.objects.filter(tenant_id=tenant_id, seq=known.seq).first()
    if event is not None and bytes(event.hash) == known.hash:
        return None
    return Break(known.seq, None, "it is not the event that was noted; the chain was written anew, or its end cut off")
