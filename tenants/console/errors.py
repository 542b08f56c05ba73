"""Errors: failed runs that are alike, in groups, and what somebody says of a group.

The text of a group is shown to whoever may read jobs, as the API shows it: it is no part of a payload.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Invalid
from jobservice.field_checks import NAME
from jobservice.ids import ERROR_GROUP, parse_id
from jobservice.jobs.error_group_reads import (
    STATES,
    ErrorFilters,
    change_error_group,
    find_error_group,
    find_error_groups,
    list_error_groups,
    parse_error_group_change,
    unknown_error_group,
)
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.selectors import Page, list_jobs
from tenants.console.access import ConsoleView
from tenants.console.addresses import with_query
from tenants.console.curl import show_curl
from tenants.console.error_rows import error_row, error_tabs
from tenants.console.job_rows import latest_job_rows
from tenants.console.live import answer_part
from tenants.console.notices import tell
from tenants.console.tones import ERROR_STATES
from tenants.roles import ACT, READ

PAGE_SIZE = 50
LATEST_JOBS = 10
# In the address: groups of every state. Without a state those that nobody has dealt with are shown.
ALL, USUAL = "all", "open"


class ErrorList(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """A page of the groups of one state, those that were seen last first."""
        state, type_, faults = _read_filters(request)
        page = _find_page(request, self.person.tenant_id, state, type_, faults)
        ids = [group["id"] for group in page.data]
        is_first = "cursor" not in request.GET
        kept = _kept(state, type_)
        filters = {"state": _of(state), "type": type_}
        context = {
            **_list_context(self.person, state, type_),
            "groups": [error_row(group) for group in page.data],
            "tabs": error_tabs(state, type_),
            "faults": faults,
            "rows_href": with_query(
                reverse("console-ErrorRows"), {**kept, "groups": ",".join(ids), "first": "1" if is_first else ""}
            ),
            "pager_text": _("%(count)s groups, those seen last first") % {"count": len(ids)},
            "pager_first": None if is_first else with_query(reverse("console-ErrorList"), kept),
            "pager_next": page.next_cursor
            and with_query(reverse("console-ErrorList"), {**kept, "cursor": page.next_cursor}),
            "curl": show_curl(request, "/v1/error-groups", [(name, value) for name, value in filters.items() if value]),
        }
        return render(request, "console/error_groups.html", context)


class ErrorRows(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The groups that somebody looks at, as they are now and in their order; of others only how many are new."""
        state, type_, faults = _read_filters(request)
        tenant_id = self.person.tenant_id
        wanted = [
            group_id
            for text in request.GET.get("groups", "").split(",")[:PAGE_SIZE]
            if (group_id := parse_id(ERROR_GROUP, text))
        ]
        found = find_error_groups(tenant_id, wanted)
        groups = [found[group_id] for group_id in wanted if group_id in found]
        new = 0
        if request.GET.get("first") and not faults:
            newest = list_error_groups(tenant_id, ErrorFilters(_of(state), type_ or None), limit=PAGE_SIZE).data
            new = _count_new(newest, groups)
        context = {
            **_list_context(self.person, state, type_),
            "groups": [error_row(group) for group in groups],
            "rows_href": request.get_full_path(),
            "first_href": with_query(reverse("console-ErrorList"), _kept(state, type_)),
            "new_count": new,
        }
        return answer_part(request, "console/parts/error_rows.html", context, facts=[groups, new])


class ErrorPage(ConsoleView):
    permission = {"GET": READ, "POST": ACT}

    def get(self, request: HttpRequest, group_id: str) -> HttpResponseBase:
        tenant_id, wanted = self.person.tenant_id, _read_id(group_id)
        group = _find(tenant_id, wanted)
        jobs = list_jobs(tenant_id, filters=JobFilters(error_group=wanted), limit=LATEST_JOBS).data
        hours = len(group["runs_by_hour"])
        context = {
            **error_row(group),
            "may_act": self.person.may(ACT),
            "jobs": latest_job_rows(jobs),
            "last_runs": sum(group["runs_by_hour"]),
            "hours": [(hours - 1 - place, runs) for place, runs in enumerate(group["runs_by_hour"]) if runs],
            "curl": show_curl(request, f"/v1/error-groups/{group_id}"),
        }
        return render(request, "console/error_group.html", context)

    def post(self, request: HttpRequest, group_id: str) -> HttpResponseBase:
        """Say what the group is from now on, and go back to where it was said."""
        tenant_id, wanted = self.person.tenant_id, _read_id(group_id)
        # What is not there is told first, whatever is asked for.
        _find(tenant_id, wanted)
        state = parse_error_group_change({"state": request.POST.get("state", "")})
        change_error_group(tenant_id, wanted, state)
        tell(request, "success", _said()[state])
        if request.POST.get("back") == "list":
            seen = {"state": request.POST.get("seen_state", ""), "type": request.POST.get("seen_type", "")}
            return HttpResponseRedirect(with_query(reverse("console-ErrorList"), seen))
        return HttpResponseRedirect(reverse("console-ErrorPage", kwargs={"group_id": group_id}))


def _count_new(newest: list[dict[str, Any]], shown: list[dict[str, Any]]) -> int:
    """Those that are not shown; of a full page the older ones are on the next one, and not new."""
    ids = {group["id"] for group in shown}
    least = min(group["last_seen_at"] for group in shown) if len(shown) == PAGE_SIZE else ""
    return sum(group["id"] not in ids and group["last_seen_at"] > least for group in newest)


def _said() -> dict[str, str]:
    return {
        "open": _("The group is open again."),
        "resolved": _("Resolved. It opens by itself when it comes again."),
        "ignored": _("Ignored. It may come again."),
    }


def _read_filters(request: HttpRequest) -> tuple[str, str, list[str]]:
    """State, type (may be empty) and what is wrong with them."""
    state, type_, faults = request.GET.get("state") or USUAL, request.GET.get("type", "").strip()[:200], []
    if state not in (*STATES, ALL):
        known = ", ".join((*STATES, ALL))
        faults.append(_("%(value)s is no state; there are %(states)s.") % {"value": state[:80], "states": known})
    if type_ and not NAME.fullmatch(type_):
        faults.append(_("%(value)s is no name of a %(name)s.") % {"value": type_[:80], "name": "type"})
    return state, type_, faults


def _find_page(request: HttpRequest, tenant_id: UUID, state: str, type_: str, faults: list[str]) -> Page:
    """Nothing when the filter is not understood. A bad cursor is a fault, too."""
    if faults:
        return Page([])
    try:
        filters = ErrorFilters(_of(state), type_ or None)
        return list_error_groups(tenant_id, filters, limit=PAGE_SIZE, cursor=request.GET.get("cursor") or None)
    except Invalid as error:
        faults.extend(fault.detail for fault in error.faults)
        return Page([])


def _list_context(person: Any, state: str, type_: str) -> dict[str, Any]:
    known = ERROR_STATES.get(state)
    return {
        "state": state,
        "type": type_,
        "state_word": known.word if known else "",
        "is_usual": state == USUAL and not type_,
        "may_act": person.may(ACT),
        "list_href": reverse("console-ErrorList"),
    }


def _kept(state: str, type_: str) -> dict[str, str]:
    """The filters as an address has them."""
    return {"state": "" if state == USUAL else state, "type": type_}


def _of(state: str) -> str | None:
    return None if state == ALL else state


def _find(tenant_id: UUID, group_id: UUID) -> dict[str, Any]:
    group = find_error_group(tenant_id, group_id)
    if group is None:
        raise unknown_error_group()
    return group


def _read_id(text: str) -> UUID:
    group_id = parse_id(ERROR_GROUP, text)
    if group_id is None:
        raise unknown_error_group()
    return group_id
