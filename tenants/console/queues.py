"""Queues: what is in each and what holds it, and its limits. Its switch is in `queue_pause.py`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Invalid
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.queue_board import list_busy_keys
from jobservice.jobs.queues import QueueView, change_queue, find_queue, list_queues, unknown_queue
from jobservice.jobs.selectors import list_jobs
from jobservice.preconditions import PreconditionFailed
from tenants.console.access import ConsoleView
from tenants.console.curl import show_curl
from tenants.console.job_rows import job_rows
from tenants.console.live import answer_part
from tenants.console.notices import tell
from tenants.console.queue_form import NAMES, read_form, show_changes, show_form
from tenants.console.queue_rows import queue_address, queue_facts, queue_rows
from tenants.roles import ACT, READ

PAGE_SIZE = 50
LATEST_JOBS = 10
# Of each state of a queue so many jobs are counted: on its own page, and beside others.
COUNTED, COUNTED_OF_MANY = 1000, 200


class QueueList(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = _list_context(request, self.person)
        context["curl"] = show_curl(request, "/v1/queues")
        return render(request, "console/queues.html", context)


class QueueRows(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = _list_context(request, self.person)
        facts = [queue_facts(row) for row in context["queues"]]
        return answer_part(request, "console/parts/queue_rows.html", context, facts=facts)


class QueuePage(ConsoleView):
    permission = {"GET": READ, "POST": ACT}

    def get(self, request: HttpRequest, queue: str) -> HttpResponseBase:
        view = _find(self.person.tenant_id, queue)
        return self._show(request, view, show_form(view.settings), {})

    def post(self, request: HttpRequest, queue: str) -> HttpResponseBase:
        """Change the limits: what would change is shown first, and then done to the version that was looked at."""
        view = _find(self.person.tenant_id, queue)
        try:
            settings = read_form(request.POST)
        except Invalid as error:
            faults = {fault.pointer.strip("/").replace("/", "_"): fault.detail for fault in error.faults}
            return self._show(request, view, request.POST.dict(), faults, status=422)
        changes = show_changes(view.settings, settings)
        if not changes:
            tell(request, "info", _("Nothing was changed."))
            return HttpResponseRedirect(queue_address(queue))
        if not request.POST.get("confirmed"):
            return self._show(request, view, request.POST.dict(), {}, changes=changes)
        wanted = request.POST.get("revision", "")
        try:
            change_queue(self.person.tenant_id, queue, settings, precondition=lambda now: now == wanted)
        except PreconditionFailed:
            tell(request, "warning", _("Somebody else changed the queue meanwhile. Look at it, and try again."))
            return HttpResponseRedirect(queue_address(queue))
        tell(request, "success", _("The limits are changed, and hold from now on."))
        return HttpResponseRedirect(queue_address(queue))

    def _show(
        self,
        request: HttpRequest,
        view: QueueView,
        form: dict[str, Any],
        faults: dict[str, str],
        *,
        changes: list[dict[str, str]] | None = None,
        status: int = 200,
    ) -> HttpResponseBase:
        tenant_id, now = self.person.tenant_id, datetime.now(UTC)
        page = list_jobs(tenant_id, filters=JobFilters(queue=view.name), limit=LATEST_JOBS)
        fields = [
            {"name": name, "label": label, "help": help_, "value": form.get(name, ""), "fault": faults.get(name, "")}
            for name, label, help_ in NAMES
        ]
        context = {
            **_now_context(tenant_id, view),
            "jobs": job_rows(page.data, now=now),
            "fields": fields,
            "other_faults": [text for name, text in faults.items() if name not in {field["name"] for field in fields}],
            "changes": changes,
            "may_change": self.person.may(ACT),
            "curl": show_curl(request, f"/v1/queues/{view.name}"),
        }
        return render(request, "console/queue.html", context, status=status)


class QueueNow(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, queue: str) -> HttpResponseBase:
        """What changes on the page of a queue."""
        context = _now_context(self.person.tenant_id, _find(self.person.tenant_id, queue))
        facts = [queue_facts(context), [asdict(key) for key in context["keys"]]]
        return answer_part(request, "console/parts/queue_now.html", context, facts=facts)


def _list_context(request: HttpRequest, person: Any) -> dict[str, Any]:
    cursor = request.GET.get("cursor") or None
    page = list_queues(person.tenant_id, limit=PAGE_SIZE, cursor=cursor, most_counted=COUNTED_OF_MANY)
    oldest_first = sorted(page.data, key=lambda view: -(view.now.oldest_due_seconds or -1))
    path, rows = reverse("console-QueueList"), reverse("console-QueueRows")
    return {
        "queues": queue_rows(person.tenant_id, oldest_first),
        "may_act": person.may(ACT),
        "rows_href": f"{rows}?cursor={cursor}" if cursor else rows,
        "pager_first": path if cursor else None,
        "pager_next": f"{path}?cursor={page.next_cursor}" if page.next_cursor else None,
    }


def _now_context(tenant_id: UUID, view: QueueView) -> dict[str, Any]:
    return {
        **queue_rows(tenant_id, [view])[0],
        "keys": list_busy_keys(tenant_id, view.name),
        "now_href": reverse("console-QueueNow", kwargs={"queue": view.name}),
    }


def _find(tenant_id: UUID, name: str) -> QueueView:
    view = find_queue(tenant_id, name, most_counted=COUNTED)
    if view is None:
        raise unknown_queue()
    return view
