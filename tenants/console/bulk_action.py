"""A bulk action: how far it is, and a way to stop it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Forbidden
from jobservice.ids import BULK_ACTION, parse_id
from jobservice.jobs.bulk_actions import RUNNING, abort_bulk_action, find_bulk_action, unknown_bulk_action
from tenants.console.access import ConsoleView
from tenants.console.endpoint_rows import endpoint_address
from tenants.console.live import answer_part
from tenants.console.notices import tell
from tenants.console.person import Person
from tenants.roles import ACT, READ, WEBHOOKS


class BulkActionPage(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, action_id: str) -> HttpResponseBase:
        return render(
            request, "console/bulk_action.html", _context(self.person, _find(self.person.tenant_id, action_id))
        )


class BulkActionProgress(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, action_id: str) -> HttpResponseBase:
        shown = _find(self.person.tenant_id, action_id)
        return answer_part(request, "console/parts/bulk_progress.html", _context(self.person, shown), facts=shown)


class AbortBulkAction(ConsoleView):
    permission = ACT

    def post(self, request: HttpRequest, action_id: str) -> HttpResponseBase:
        if not _may_abort(self.person, _find(self.person.tenant_id, action_id)):
            raise Forbidden(_("Your role in this tenant does not allow it. Ask one of its owners."))
        abort_bulk_action(self.person.tenant_id, _read_id(action_id))
        tell(request, "success", _("Stopped. What was done stays done."))
        return HttpResponseRedirect(reverse("console-BulkActionPage", kwargs={"action_id": action_id}))


def _context(person: Person, shown: dict[str, Any]) -> dict[str, Any]:
    ended = shown["done"] + (shown["skipped"] or 0)
    return {
        "bulk": shown,
        # Of a replay, which is of deliveries and not of jobs.
        "endpoint_href": shown["endpoint_id"] and endpoint_address(shown["endpoint_id"]),
        "words": " ".join(_words(shown["filter"])),
        "is_running": shown["status"] == RUNNING,
        "share": ended / shown["matched"] if shown["matched"] else 1.0,
        "may_act": _may_abort(person, shown),
    }


def _may_abort(person: Person, shown: dict[str, Any]) -> bool:
    """Whoever may begin one may end it: of jobs who acts on them, of deliveries who sets up webhooks."""
    return person.may(WEBHOOKS if shown["endpoint_id"] else ACT)


def _words(filters: dict[str, Any]) -> list[str]:
    """The filter as the search bar has it."""
    names = {"created_after": "since", "created_before": "until", "error_group": "error"}
    return [
        f"{names.get(name, name)}:{value}"
        for name, given in filters.items()
        for value in (given if isinstance(given, list) else [given])
    ]


def _find(tenant_id: UUID, text: str) -> dict[str, Any]:
    shown = find_bulk_action(tenant_id, _read_id(text))
    if shown is None:
        raise unknown_bulk_action()
    return shown


def _read_id(text: str) -> UUID:
    action_id = parse_id(BULK_ACTION, text)
    if action_id is None:
        raise unknown_bulk_action()
    return action_id
