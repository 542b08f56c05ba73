"""Reads of groups of errors, the last seen first, and the one change that a person makes: open, resolved or ignored.

How groups come about is in `error_groups.py`. Resolved means: it should not come again, and opens by itself when it
does. Ignored means: it may come again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from jobservice.cursors import CursorScope
from jobservice.errors import Fault, Invalid, NotFound
from jobservice.field_checks import Fields
from jobservice.ids import ERROR_GROUP, show_id
from jobservice.jobs.error_groups import COLUMN, TABLE
from jobservice.jobs.models import ErrorGroup
from jobservice.jobs.representation import show_time
from jobservice.jobs.selectors import Page
from jobservice.jobs.statistics import HOUR
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import open_column, tenant_keys

_SQL = Path(__file__).resolve().parent / "sql"
STATES = ("open", "resolved", "ignored")
SPARK_HOURS = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ErrorFilters:
    """Which groups a list shows; None: all."""

    state: str | None = None
    type: str | None = None


def list_error_groups(tenant_id: UUID, filters: ErrorFilters, *, limit: int, cursor: str | None = None) -> Page:
    """A page of the tenant's groups, the last seen first. Raises `Invalid` for a cursor that is not of this list."""
    scope = CursorScope(tenant_id, "error-groups", {"state": filters.state, "type": filters.type})
    # A group is there from its first run's commit, and counted a moment later: until then it is not shown.
    groups = ErrorGroup.objects.filter(tenant_id=tenant_id, runs__gt=0).order_by("-last_seen_at", "-id")
    if filters.state is not None:
        groups = groups.filter(state=filters.state)
    if filters.type is not None:
        groups = groups.filter(type=filters.type)
    if cursor is not None:
        groups = groups.filter(_after(scope.read(cursor)))
    tenant_keys(tenant_id)  # loaded before the transaction
    with tenant_tx(tenant_id):
        found = list(groups[: limit + 1])
        sparks = _read_sparks(tenant_id, [group.id for group in found[:limit]])
    data = [_show(group, sparks) for group in found[:limit]]
    return Page(data, scope.show(_position(found[limit - 1])) if len(found) > limit else None)


def find_error_group(tenant_id: UUID, group_id: UUID) -> dict[str, Any] | None:
    """The group as the API shows it; None when the tenant has none of this id."""
    tenant_keys(tenant_id)
    with tenant_tx(tenant_id):
        group = ErrorGroup.objects.filter(tenant_id=tenant_id, id=group_id).first()
        return None if group is None else _show(group, _read_sparks(tenant_id, [group_id]))


def find_error_groups(tenant_id: UUID, group_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Those of the tenant's groups, by their ids, as the API shows them."""
    tenant_keys(tenant_id)
    with tenant_tx(tenant_id):
        groups = list(ErrorGroup.objects.filter(tenant_id=tenant_id, id__in=list(group_ids)))
        sparks = _read_sparks(tenant_id, [group.id for group in groups])
    return {group.id: _show(group, sparks) for group in groups}


def change_error_group(tenant_id: UUID, group_id: UUID, state: str) -> dict[str, Any]:
    """Say that the group is open, resolved or ignored; the same again changes nothing. Raises `NotFound`."""
    tenant_keys(tenant_id)
    with tenant_tx(tenant_id):
        group = ErrorGroup.objects.select_for_update().filter(tenant_id=tenant_id, id=group_id).first()
        if group is None:
            raise unknown_error_group()
        if group.state != state:
            ErrorGroup.objects.filter(tenant_id=tenant_id, id=group_id).update(state=state, state_changed_at=Now())
            act = {"before": {"state": group.state}, "after": {"state": state}}
            note_act(tenant_id, "error-group.updated", show_id(ERROR_GROUP, group_id), **act)
            group.refresh_from_db(fields=["state", "state_changed_at"])
        return _show(group, _read_sparks(tenant_id, [group_id]))


def parse_error_group_change(raw: object) -> str:
    """The state in a parsed JSON body. Raises `Invalid`."""
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset({"state"}))
    fields.require("state")
    state = fields.choice("state", STATES)
    if fields.faults:
        raise Invalid(fields.faults)
    return str(state)


def unknown_error_group() -> NotFound:
    """The same for an unknown id and another tenant's."""
    return NotFound("There is no error group of this id.")


def _show(group: ErrorGroup, sparks: Mapping[UUID, Sequence[int]]) -> dict[str, Any]:
    message = None
    if group.message_sealed is not None:
        sealed = bytes(group.message_sealed)
        message = open_column(group.tenant_id, table=TABLE, column=COLUMN, row_id=group.id, sealed=sealed).decode()
    return {
        "id": show_id(ERROR_GROUP, group.id),
        "type": group.type,
        "code": group.code,
        "message": message,
        "state": group.state,
        "state_changed_at": show_time(group.state_changed_at),
        "runs": group.runs,
        "runs_by_hour": list(sparks[group.id]),
        "first_seen_at": show_time(group.first_seen_at),
        "last_seen_at": show_time(group.last_seen_at),
    }


def _read_sparks(tenant_id: UUID, group_ids: Sequence[UUID]) -> dict[UUID, list[int]]:
    """Failed runs of each group in each of the last hours, the current one last. Index: error_count_pkey."""
    sparks = {group_id: [0] * SPARK_HOURS for group_id in group_ids}
    if not group_ids:
        return sparks
    parameters = {"tenant": tenant_id, "groups": list(group_ids), "step": HOUR, "hours": SPARK_HOURS}
    for row in run_statement(_SQL / "read_sparks.sql", parameters):
        sparks[row.group_id][row.place] = row.runs
    return sparks


def _position(group: ErrorGroup) -> bytes:
    """The moment, and half of the id: two groups that were last seen in one microsecond differ in it."""
    microseconds = (group.last_seen_at - _EPOCH) // timedelta(microseconds=1)
    return microseconds.to_bytes(8, "big") + group.id.bytes[:8]


def _after(position: bytes) -> Q:
    moment = _EPOCH + timedelta(microseconds=int.from_bytes(position[:8], "big"))
    least = UUID(bytes=position[8:] + bytes(8))
    return Q(last_seen_at__lt=moment) | Q(last_seen_at=moment, id__lt=least)
