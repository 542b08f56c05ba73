"""Writes down what was done: one event at the end of the tenant's chain, in the transaction of the act.

`note_act` locks the tenant's head until the commit, so it is the last thing that a verb does: acts of a tenant that
are written down follow one another, and whoever waits for the head holds what the act before it does not want any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.errors import SealingError
from jobservice.ids import new_id
from jobservice.statements import run_statement
from tenants.acting import current_actor, is_part_of_an_act
from tenants.audit_catalogue import CHANGED, FIELDS, object_type
from tenants.audit_chain import Place, canonical_json, canonical_row, head_message, next_hash
from tenants.audit_key import audit_key, has_signed, sign
from tenants.models import AuditEvent

_SQL = Path(__file__).resolve().parent / "sql"
_COLUMNS = tuple(
    field.attname for field in AuditEvent._meta.concrete_fields if field.attname not in ("tenant_id", "hash")
)


def note_act(tenant_id: UUID, action: str, object_id: str, *, before: object = None, after: object = None) -> None:
    """Append an event to the tenant's log. Run it last in a transaction of the tenant, in which the act is done.

    `before` and `after` are the object, as a mapping or with attributes, None where there was or is none; what of them
    is written, the catalogue says. Given both, what differs is written.
    """
    if is_part_of_an_act():
        return
    kind = object_type(action)
    shown_before, shown_after = describe_change(kind, before, after)
    # At hand before the head is locked, for to open it may be a call over the network.
    key = audit_key()
    head, actor = _lock_head(tenant_id), current_actor()
    event = AuditEvent(
        id=new_id(),
        tenant_id=tenant_id,
        seq=head.seq + 1,
        at=head.at,
        actor_type=actor.type,
        actor_id=actor.id,
        command=actor.command,
        action=action,
        object_type=kind,
        object_id=object_id,
        before=shown_before,
        after=shown_after,
        address=actor.address,
        request_id=actor.request_id,
    )
    place = Place(event.seq, next_hash(bytes(head.hash), canonical_row(event)))
    # A head that was tampered with is not signed anew, or the next act would hide it: it stays broken.
    is_sound = head.seq == 0 or _is_signed(tenant_id, head, key)
    _append(event, place, sign(key, head_message(tenant_id, place)) if is_sound else head.signature)


def _lock_head(tenant_id: UUID) -> Any:
    heads = run_statement(_SQL / "lock_audit_head.sql", {"tenant": tenant_id})
    if not heads:
        raise SealingError("The tenant's audit log has lost its head.")
    return heads[0]


def _is_signed(tenant_id: UUID, head: Any, key: bytes) -> bool:
    return has_signed(key, bytes(head.signature or b""), head_message(tenant_id, Place(head.seq, bytes(head.hash))))


def describe_change(kind: str, before: object, after: object) -> tuple[str | None, str | None]:
    """What of an object before and after an act is written down: two JSON texts, or None."""
    fields = FIELDS[kind]
    had, has = _values(before, fields.plain), _values(after, fields.plain)
    same = {name for name in had.keys() & has.keys() if had[name] == has[name]}
    old, new = _values(before, fields.changed_only), _values(after, fields.changed_only)
    # Only that it is another one, or the first: never what it is or was.
    hidden = {name: CHANGED for name in new if (new[name] or None) != (old.get(name) or None)}
    return _text(_without(had, same)), _text(_without(has, same) | hidden)


def _without(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _values(whole: object, names: tuple[str, ...]) -> dict[str, Any]:
    if whole is None:
        return {}
    if isinstance(whole, Mapping):
        return {name: whole[name] for name in names if name in whole}
    return {name: getattr(whole, name) for name in names if hasattr(whole, name)}


def _text(values: Mapping[str, Any]) -> str | None:
    return canonical_json({name: _shown(value) for name, value in values.items()}) if values else None


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _append(event: AuditEvent, place: Place, signature: bytes) -> None:
    columns = {name: getattr(event, name) for name in _COLUMNS}
    parameters = {**columns, "tenant": event.tenant_id, "hash": place.hash, "signature": signature}
    if not run_statement(_SQL / "append_audit_event.sql", parameters):
        raise SealingError("The audit log took no event.")
