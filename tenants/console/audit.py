"""The audit log: who did what to what, before and after, from where; filtered by the address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.cursors import CursorScope
from jobservice.errors import Fault
from jobservice.field_checks import is_storable, parse_instant
from tenants.acting import ACTOR_TYPES, MEMBER
from tenants.actor_names import name_actors
from tenants.audit_catalogue import ACTIONS
from tenants.audit_lists import AuditFilters, list_audit_events, represent_audit_event
from tenants.console.access import ConsoleView
from tenants.console.curl import show_curl
from tenants.console.person import Person
from tenants.models import AuditEvent
from tenants.roles import AUDIT

PAGE_SIZE = 50
_SEQ_BYTES = 16
_MOST_CHARACTERS = 200
_NAMES = ("actor", "action", "object", "since", "until")


class AuditLog(ConsoleView):
    permission = AUDIT

    def get(self, request: HttpRequest) -> HttpResponseBase:
        query, filters, faults = read_filters(request)
        context: dict[str, Any] = {
            "query": query,
            "faults": [fault.detail for fault in faults],
            "actions": ACTIONS,
            "actor_types": ACTOR_TYPES,
            "list_href": reverse("console-AuditLog"),
            "curl": show_curl(request, "/v1/audit-events", list(query.items())),
            "export_href": _with(reverse("console-ExportAuditLog"), query),
        }
        if not faults:
            context |= self._page(request, query, filters)
        return render(request, "console/audit.html", context, status=422 if faults else 200)

    def _page(self, request: HttpRequest, query: dict[str, str], filters: AuditFilters) -> dict[str, Any]:
        cursor = request.GET.get("cursor") or None
        events, following = _read_page(self.person, filters, cursor, limit=PAGE_SIZE)
        # Of who was removed since, too.
        emails = name_actors(self.person.tenant_id, {one.actor_id for one in events if one.actor_type == MEMBER})
        path = reverse("console-AuditLog")
        return {
            "events": [_row(event, emails) for event in events],
            "pager_first": _with(path, query) if cursor else None,
            "pager_next": _with(path, {**query, "cursor": following}) if following else None,
        }


def read_filters(request: HttpRequest) -> tuple[dict[str, str], AuditFilters, list[Fault]]:
    """The filters of an address: as they stand there, as they are meant, and what is wrong with them."""
    query = {name: text for name in _NAMES if (text := request.GET.get(name, "").strip())}
    faults: list[Fault] = []
    return query, _parse_filters(query, faults), faults


def _read_page(
    person: Person, filters: AuditFilters, cursor: str | None, *, limit: int
) -> tuple[list[AuditEvent], str | None]:
    """Some events, the newest first, and where the next ones begin. Raises `Invalid` for a cursor of another list."""
    wanted = {name: str(value) for name, value in asdict(filters).items()}
    scope = CursorScope(person.tenant_id, "audit-events", wanted)
    before = None if cursor is None else int.from_bytes(scope.read(cursor), "big")
    found = list_audit_events(person.tenant_id, filters, limit=limit + 1, before=before)
    shown = found[:limit]
    return shown, scope.show(shown[-1].seq.to_bytes(_SEQ_BYTES, "big")) if len(found) > limit else None


def _parse_filters(query: Mapping[str, str], faults: list[Fault]) -> AuditFilters:
    for name, text in query.items():
        if len(text) > _MOST_CHARACTERS or not is_storable(text):
            faults.append(Fault(f"/{name}", "bad-format", f"{name} has at most {_MOST_CHARACTERS} characters."))
    if query.get("action", "") not in {"", *ACTIONS}:
        faults.append(Fault("/action", "out-of-range", "There is no such act."))
    return AuditFilters(
        actor=query.get("actor"),
        action=query.get("action"),
        object=query.get("object"),
        since=_read_moment(query, "since", faults),
        until=_read_moment(query, "until", faults),
    )


def _read_moment(query: Mapping[str, str], name: str, faults: list[Fault]) -> datetime | None:
    if name not in query:
        return None
    moment = parse_instant(query[name])
    if moment is None:
        faults.append(Fault(f"/{name}", "bad-format", f"{name} is a time such as 2027-01-31T12:00:00Z."))
    return moment


def _row(event: AuditEvent, emails: Mapping[str, str]) -> dict[str, Any]:
    shown = represent_audit_event(event)
    return {
        **shown,
        "words": _(ACTIONS[event.action]) if event.action in ACTIONS else "",
        "who": emails.get(event.actor_id, "") if shown["actor"]["id"] else "",
        "changes": _changes(shown["before"] or {}, shown["after"] or {}),
    }


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str | None]]:
    names = dict.fromkeys([*before, *after])
    return [{"name": name, "was": _text(before, name), "is": _text(after, name)} for name in names]


def _text(values: Mapping[str, Any], name: str) -> str | None:
    if name not in values:
        return None
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with(path: str, query: Mapping[str, Any]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
