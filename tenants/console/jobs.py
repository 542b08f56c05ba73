"""The list of jobs: its page, and the parts of it that stay fresh."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Invalid
from jobservice.ids import JOB, parse_id, show_id
from jobservice.jobs.selectors import Page, count_newer_jobs, find_jobs, has_job, list_jobs
from jobservice.jobs.state_counts import MOST_COUNTED, count_states
from jobservice.jobs.states import STATES
from tenants.console.access import ConsoleView
from tenants.console.addresses import with_query
from tenants.console.curl import filter_parameters, show_curl, show_post
from tenants.console.job_query import QUALIFIERS, JobQuery, parse_query
from tenants.console.job_rows import job_facts, job_rows
from tenants.console.live import answer_part
from tenants.console.shown_json import answer_json
from tenants.roles import ACT, ERASE, READ

PAGE_SIZE = 50
# More than so many new ones are "99+".
MOST_NEW = 99
_FIRST_JOB = '{"type": "echo", "payload": {"hello": "world"}}'


class JobList(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """A page of the jobs that the search finds; the job itself when one is meant."""
        query = _read_query(request)
        if query.job_id is not None and not query.faults:
            if has_job(self.person.tenant_id, query.job_id):
                return HttpResponseRedirect(reverse("console-JobPage", kwargs={"job_id": show_id(JOB, query.job_id)}))
            query.faults.append(_("There is no job of this id."))
        page = _find_page(request, self.person.tenant_id, query)
        return render(request, "console/jobs.html", self._context(request, query, page))

    def _context(self, request: HttpRequest, query: JobQuery, page: Page) -> dict[str, Any]:
        now = datetime.now(UTC)
        address = {"q": query.text} if query.text else {}
        is_first = "cursor" not in request.GET
        return {
            **_list_context(request, self.person, query),
            "jobs": job_rows(page.data, now=now),
            "tabs": _tabs(self.person.tenant_id, query),
            "rows_href": _rows_href(query, [job["id"] for job in page.data], is_first=is_first),
            "tabs_href": with_query(reverse("console-JobTabs"), address),
            "json_href": with_query(
                reverse("console-JobListJson"), {**address, "cursor": request.GET.get("cursor", "")}
            ),
            "pager_text": _("%(count)s jobs, the newest first") % {"count": len(page.data)},
            "pager_first": None if is_first else with_query(reverse("console-JobList"), address),
            # A cursor goes with the moments that its page was found by.
            "pager_next": page.next_cursor
            and with_query(reverse("console-JobList"), {"q": query.at_fixed_times, "cursor": page.next_cursor}),
            "curl": show_curl(request, "/v1/jobs", filter_parameters(query.filters)),
            "first_curl": show_post(request, "/v1/jobs", _FIRST_JOB),
            "suggestions": [*(f"state:{state}" for state in STATES), *(f"{name}:" for name in QUALIFIERS[1:])],
        }


class JobRows(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The rows that somebody looks at, as they are now and in their order; what is gone stands as it stood."""
        query, tenant_id = _read_query(request), self.person.tenant_id
        wanted = [
            job_id for text in request.GET.get("jobs", "").split(",")[:PAGE_SIZE] if (job_id := parse_id(JOB, text))
        ]
        found = find_jobs(tenant_id, wanted)
        jobs = [found[job_id] for job_id in wanted if job_id in found]
        new = 0
        if wanted and request.GET.get("first"):
            new = count_newer_jobs(tenant_id, query.filters, after=wanted[0], limit=MOST_NEW + 1)
        now = datetime.now(UTC)
        context = {
            **_list_context(request, self.person, query),
            "jobs": job_rows(jobs, now=now),
            "rows_href": request.get_full_path(),
            "first_href": with_query(reverse("console-JobList"), {"q": query.text} if query.text else {}),
            "new_count": new,
            "new_jobs": f"{MOST_NEW}+" if new > MOST_NEW else new,
        }
        return answer_part(request, "console/parts/job_rows.html", context, facts=[job_facts(jobs, now=now), new])


class JobTabs(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        query = _read_query(request)
        tabs = _tabs(self.person.tenant_id, query)
        facts = [[tab["state"], tab["count"]] for tab in tabs]
        context = {"tabs": tabs, "tabs_href": request.get_full_path()}
        return answer_part(request, "console/parts/job_tabs.html", context, facts=facts)


class JobListJson(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        query = _read_query(request)
        page = _find_page(request, self.person.tenant_id, query)
        shown = {"data": page.data, "next_cursor": page.next_cursor}
        back = with_query(reverse("console-JobList"), {"q": query.text} if query.text else {})
        return answer_json(request, shown, title=_("Jobs"), back=back)


def _read_query(request: HttpRequest) -> JobQuery:
    return parse_query(request.GET.get("q", ""), now=datetime.now(UTC))


def _find_page(request: HttpRequest, tenant_id: UUID, query: JobQuery) -> Page:
    """Nothing when the search is not understood: everything would be a wrong answer. A bad cursor is a fault, too."""
    if query.faults:
        return Page([])
    try:
        return list_jobs(tenant_id, filters=query.filters, limit=PAGE_SIZE, cursor=request.GET.get("cursor") or None)
    except Invalid as error:
        query.faults.extend(fault.detail for fault in error.faults)
        return Page([])


def _list_context(request: HttpRequest, person: Any, query: JobQuery) -> dict[str, Any]:
    return {
        "search_text": query.text,
        "faults": query.faults,
        "is_filtered": query.is_filtered,
        "may_act": person.may(ACT),
        "may_erase": person.may(ERASE),
        "list_href": reverse("console-JobList"),
    }


def _tabs(tenant_id: UUID, query: JobQuery) -> list[dict[str, Any]]:
    """Counts are of all jobs of a state, and so shown only beside a search for nothing else."""
    is_plain = not query.with_state(None)
    counts = count_states(tenant_id) if is_plain else {}
    return [_tab(query, None, None), *(_tab(query, state, counts.get(state)) for state in STATES)]


def _tab(query: JobQuery, state: str | None, count: int | None) -> dict[str, Any]:
    text = query.with_state(state)
    return {
        "state": state or "",
        "href": with_query(reverse("console-JobList"), {"q": text} if text else {}),
        "is_current": query.filters.state == state,
        "count": None if count is None else f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}",
    }


def _rows_href(query: JobQuery, ids: list[str], *, is_first: bool) -> str:
    return with_query(
        reverse("console-JobRows"), {"q": query.text, "jobs": ",".join(ids), "first": "1" if is_first else ""}
    )
