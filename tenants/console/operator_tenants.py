"""The operators' first page: all tenants, what each has now of what runs against what it should have, and who waits."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from jobservice.field_checks import is_storable
from jobservice.ids import TENANT, show_id
from jobservice.jobs.operator_figures import WAITING_COUNTED, TenantFigures, list_tenant_figures
from tenants.console.access import STAFF, ConsoleView
from tenants.console.addresses import with_query
from tenants.console.live import answer_part
from tenants.operators import OperatorSession
from tenants.tenancy import NAME_LIMIT

PAGE_SIZE = 30
LAST_PAGE = -(-10_000 // PAGE_SIZE)
SORTS = ("wait", "name")


class OperatorTenants(ConsoleView):
    permission = STAFF

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return render(request, "console/operator_tenants.html", _context(request, self.operator))


class OperatorTenantRows(ConsoleView):
    permission = STAFF

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = _context(request, self.operator)
        facts = [[str(value) for value in row.values()] for row in context["tenants"]]
        return answer_part(request, "console/parts/operator_tenant_rows.html", context, facts=facts)


def _context(request: HttpRequest, session: OperatorSession) -> dict[str, Any]:
    prefix = request.GET.get("name", "").strip()[:NAME_LIMIT]
    prefix = prefix if is_storable(prefix) else ""
    sort = request.GET.get("sort", "")
    sort = sort if sort in SORTS else SORTS[0]
    page = _page_number(request.GET.get("page", ""))
    found = list_tenant_figures(
        session, prefix=prefix, by_wait=sort == "wait", limit=PAGE_SIZE, skip=(page - 1) * PAGE_SIZE
    )
    query = {"name": prefix, "sort": "" if sort == SORTS[0] else sort}
    path = reverse("console-OperatorTenants")
    is_last = len(found.tenants) < PAGE_SIZE or page * PAGE_SIZE >= found.found or page == LAST_PAGE
    return {
        "tenants": [_row(one) for one in found.tenants],
        "found": found.found,
        "running": found.running,
        "name": prefix,
        "sort": sort,
        "sorts": [(one, with_query(path, {**query, "sort": "" if one == SORTS[0] else one})) for one in SORTS],
        "rows_href": with_query(
            reverse("console-OperatorTenantRows"), {**query, "page": "" if page == 1 else str(page)}
        ),
        "pager_first": with_query(path, query) if page > 1 else None,
        "pager_next": None if is_last else with_query(path, {**query, "page": str(page + 1)}),
    }


def _page_number(text: str) -> int:
    return min(LAST_PAGE, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _row(one: TenantFigures) -> dict[str, Any]:
    return {
        "href": reverse("console-OperatorTenant", kwargs={"tenant_id": show_id(TENANT, one.tenant_id)}),
        "id": show_id(TENANT, one.tenant_id),
        "name": one.name,
        "status": one.status,
        "weight": one.weight,
        "plan": one.plan,
        "oldest_seconds": one.oldest_wait_seconds,
        "running": one.running,
        "running_limit": one.running_limit,
        "waiting": min(one.waiting, WAITING_COUNTED),
        "is_more_waiting": one.waiting > WAITING_COUNTED,
        "open_jobs": one.open_jobs,
        "open_limit": one.open_limit,
        "share": one.share,
        "percent": _percent(one.share),
        "fair_percent": _percent(one.fair_share),
    }


def _percent(share: float | None) -> str | None:
    """To a tenth, where that is not nothing: of ten thousand tenants each has a hundredth of a percent."""
    return None if share is None else f"{share * 100:.3g}"
