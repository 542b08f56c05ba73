"""Workers: which serve the tenant's jobs, and how to start one.

They are the operator's and serve every tenant. A member sees what `waiting` of a job tells too, that they are there and
their slots, and what they run of the tenant's own; the installation's operators also where they are and how full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.jobs.fleet_reads import MOST_WORKERS, POOLS, WorkerView, list_workers
from tenants.console.access import ConsoleView
from tenants.console.job_rows import short_id
from tenants.console.live import answer_part
from tenants.console.person import Person
from tenants.roles import READ

# What stands in a shell: everything at once, or each process by itself.
START_ALL = "make run"
START_EACH = "python manage.py worker handlers\npython manage.py worker egress"


class WorkerList(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = {**_context(self.person), "start_all": START_ALL, "start_each": START_EACH}
        return render(request, "console/workers.html", context)


class WorkerRows(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = _context(self.person)
        facts = [context["pools"], [row["facts"] for row in context["workers"]]]
        return answer_part(request, "console/parts/workers.html", context, facts=facts)


def _context(person: Person) -> dict[str, Any]:
    workers = list_workers(person.tenant_id, with_places=person.is_staff)
    return {
        "workers": [_row(one) for one in workers],
        "pools": [_pool(name, workers) for name in POOLS],
        "is_staff": person.is_staff,
        "is_cut": len(workers) == MOST_WORKERS,
        "most": MOST_WORKERS,
        "rows_href": reverse("console-WorkerRows"),
    }


def _row(view: WorkerView) -> dict[str, Any]:
    """When a live one was heard of last is no fact: it is a second ago, and another second each time."""
    heard = str(view.seen_at) if view.state == "silent" else ""
    place = view.place
    return {
        "view": view,
        "short_id": short_id(view.id),
        "pool_word": _words()[view.pool],
        "facts": [view.id, view.state, view.slots, view.running, heard, place and place.busy_slots],
    }


def _pool(name: str, workers: Sequence[WorkerView]) -> dict[str, Any]:
    """A pool as a whole: its workers that take work, and their slots."""
    live = [one for one in workers if one.pool == name and one.state == "live"]
    return {"word": _words()[name], "workers": len(live), "slots": sum(one.slots for one in live)}


def _words() -> dict[str, str]:
    return {"handlers": _("Python handlers"), "egress": _("HTTP jobs"), "deliveries": _("Webhooks")}
