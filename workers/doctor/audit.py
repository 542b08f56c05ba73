"""The audit log: the end of each tenant's chain, and its signed head. `manage.py verify_audit` walks all of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError, Unavailable
from jobservice.ids import TENANT, show_id
from tenants.audit_chain import Break, Place, follow
from tenants.audit_checks import judge_head
from tenants.audit_key import AUDIT_KEY
from tenants.models import AuditHead
from workers.doctor.finding import Finding, ok, problem, show_count
from workers.doctor.reader import Reader

TENANTS_LOOKED_AT = 1_000
EVENTS_LOOKED_AT = 50
_RESTORE = "Restore `audit_key` of table installation from a backup: what it signed cannot be verified without it."


def check_audit_log(reader: Reader) -> Finding:
    """The newest events of each tenant follow one another up to the head, and the head is signed by us."""
    try:
        key = _read_key(reader)
    except (ConfigurationError, KeyProviderAway):
        return problem("The audit key cannot be used.", fix="Run `manage.py create_keys`; see what `key-files` says.")
    except (SealingError, Unavailable):
        return problem("The audit key does not open: no act can be written down.", fix=_RESTORE)
    rows = reader.read("owner", "audit_tails", {"tenants": TENANTS_LOOKED_AT, "events": EVENTS_LOOKED_AT})
    tails = {tenant_id: list(tail) for tenant_id, tail in groupby(rows, key=lambda row: row.owner_id)}
    broken = {tenant_id: found for tenant_id, tail in tails.items() if (found := _find_break(tail, key))}
    if broken:
        tenant_id, first = next(iter(broken.items()))
        return problem(
            f"The audit log of {show_count(len(broken), 'tenant')} is broken: that of {show_id(TENANT, tenant_id)} at "
            f"event {first.seq}, {first.reason}.",
            fix="Run `manage.py verify_audit`, and find out who wrote to the database besides the service.",
        )
    return ok(f"The newest events of {show_count(len(tails), 'audit log')} are what was written.")


def _read_key(reader: Reader) -> bytes:
    rows = reader.read("owner", "SELECT audit_key FROM installation")
    stored = rows[0].audit_key if rows else None
    return AUDIT_KEY.unwrap(None if stored is None else bytes(stored))


def _find_break(tail: Sequence[Any], key: bytes) -> Break | None:
    """In the rows of one tenant, which has one row without an event when it has none."""
    first = tail[0]
    if first.head_seq is None:
        return Break(0, None, "the head is missing")
    events = [row for row in tail if row.seq is not None]
    # The oldest one that was read stands for all before it.
    is_cut = bool(events) and events[0].seq > 1 and len(events) == EVENTS_LOOKED_AT
    start = Place(events[0].seq, bytes(events[0].hash)) if is_cut else Place()
    reached = follow(start, events[1:] if is_cut else events)
    if isinstance(reached, Break):
        return reached
    head = AuditHead(tenant_id=first.owner_id, seq=first.head_seq, hash=first.head_hash, signature=first.signature)
    return judge_head(head, reached, key=key)
