"""The inbox of `make run`: what a webhook endpoint of one's own would have received, and whether it verifies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.logs import log_event
from tenants.console.access import ConsoleView
from tenants.console.answers import refuse
from tenants.console.live import answer_part
from tenants.console.person import Person
from tenants.inbox import MOST_CALLBACKS, Callback, inbox_url, is_there, list_callbacks
from tenants.roles import REVEAL, WEBHOOKS


class Inbox(ConsoleView):
    """For whoever sets up webhooks: its address may be sent to."""

    permission = WEBHOOKS

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if not is_there():
            return _refuse(request)
        context = _context(self.person)
        if context["callbacks"] and context["may_reveal"]:
            log_event("inbox_opened", tenant_id=self.person.tenant_id, account_id=self.person.account_id)
        return render(request, "console/inbox.html", context)


class InboxRows(ConsoleView):
    permission = WEBHOOKS

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if not is_there():
            return _refuse(request)
        context = _context(self.person)
        facts = [row["id"] for row in context["callbacks"]]
        return answer_part(request, "console/parts/inbox_rows.html", context, facts=facts)


def _refuse(request: HttpRequest) -> HttpResponseBase:
    return refuse(request, 404, _("The address is wrong, or it belongs to somebody else."))


def _context(person: Person) -> dict[str, Any]:
    may_reveal = person.may(REVEAL)
    return {
        "callbacks": [_row(row_id, one, may_reveal=may_reveal) for row_id, one in list_callbacks(person.tenant_id)],
        "most": MOST_CALLBACKS,
        "url": inbox_url(person.tenant_id),
        "may_reveal": may_reveal,
        "rows_href": reverse("console-InboxRows"),
        "new_endpoint": reverse("console-MakeEndpoint"),
    }


def _row(row_id: UUID, callback: Callback, *, may_reveal: bool) -> dict[str, Any]:
    return {
        "id": row_id.hex,
        "at": datetime.fromtimestamp(callback.received_at, UTC),
        "webhook_id": callback.webhook_id,
        "event": callback.event,
        "is_verified": callback.is_verified,
        "is_cut": callback.is_cut,
        "body": _indented(callback) if may_reveal else None,
    }


def _indented(callback: Callback) -> str:
    try:
        return json.dumps(json.loads(callback.body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return callback.body
