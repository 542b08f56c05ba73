"""The overview: how a tenant's work goes, now and in a time that the address says, and the first steps of a new one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from jobservice.jobs.overview import QueueWait, count_states, rank_queues
from jobservice.jobs.statistic_reads import Series, TypeSummary, read_series, summarize_types
from tenants.console.access import ConsoleView
from tenants.console.addresses import with_query
from tenants.console.curl import show_curl
from tenants.console.first_steps import are_hidden, find_steps, hide_steps, show_steps
from tenants.console.live import answer_part
from tenants.console.overview_charts import jobs_of, series_facts, show_throughput, show_waits
from tenants.console.overview_figures import show_capped, show_figures
from tenants.console.overview_ranges import USUAL, Length, range_of, read_length, show_lengths
from tenants.console.preferences import read_zone
from tenants.roles import ACT, READ

RANKED = 8


class Overview(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id, length = self.person.tenant_id, read_length(request)
        series = read_series(tenant_id, range_of(length, now=datetime.now(UTC)))
        counts = count_states(tenant_id)
        waits = rank_queues(tenant_id, limit=RANKED)
        steps = []
        if self.person.may(ACT) and not are_hidden(request, tenant_id):
            steps = find_steps(request, self.person, counts)
        is_over = bool(steps) and all(step.is_done for step in steps)
        has_tables = request.GET.get("tables") == "1"
        context = {
            **_board_context(request, tenant_id, length, series, waits),
            **show_steps([] if is_over else steps),
            "lengths": show_lengths(length),
            "figures": show_figures(counts, waits, series),
            "figures_href": with_query(reverse("console-OverviewFigures"), _kept(length)),
            "tables_href": with_query(
                reverse("console-Overview"), {**_kept(length), "tables": "" if has_tables else "1"}
            ),
            "curl": show_curl(request, "/v1/statistics", [("since", _since(series)), ("step", length.step)]),
        }
        answer = render(request, "console/overview.html", context)
        if is_over:
            # All are done: they are not looked for again.
            hide_steps(request, answer, tenant_id)
        return answer


class OverviewFigures(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id, length = self.person.tenant_id, read_length(request)
        series = read_series(tenant_id, range_of(length, now=datetime.now(UTC)))
        figures = show_figures(count_states(tenant_id), rank_queues(tenant_id, limit=1), series)
        context = {"figures": figures, "figures_href": request.get_full_path()}
        return answer_part(request, "console/parts/overview_figures.html", context, facts=figures)


class OverviewBoard(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id, length = self.person.tenant_id, read_length(request)
        series = read_series(tenant_id, range_of(length, now=datetime.now(UTC)))
        waits = rank_queues(tenant_id, limit=RANKED)
        context = _board_context(request, tenant_id, length, series, waits)
        facts = [series_facts(series), context["types"], context["queues"], context["has_tables"]]
        return answer_part(request, "console/parts/overview_board.html", context, facts=facts)


def _board_context(
    request: HttpRequest, tenant_id: UUID, length: Length, series: Series, waits: list[QueueWait]
) -> dict[str, Any]:
    zone = read_zone(request).zone
    has_tables = request.GET.get("tables") == "1"
    types = summarize_types(tenant_id, series.range, limit=RANKED)
    return {
        "throughput": show_throughput(series, zone),
        "waits": show_waits(series, zone),
        "types": [_type_row(one, series) for one in types],
        "queues": [_queue_row(one) for one in waits],
        "has_tables": has_tables,
        "board_href": with_query(
            reverse("console-OverviewBoard"), {**_kept(length), "tables": "1" if has_tables else ""}
        ),
    }


def _type_row(summary: TypeSummary, series: Series) -> dict[str, Any]:
    done, failed = summary.counts["completed"], summary.counts["discarded"]
    words = (("state", "discarded"), ("type", summary.type))
    return {
        "type": summary.type,
        "failed": failed,
        "share": round(failed / (done + failed), 3),
        "percent": f"{failed / (done + failed) * 100:.3g}",
        "href": jobs_of(series.range.since, None, *words),
    }


def _queue_row(wait: QueueWait) -> dict[str, Any]:
    return {
        "queue": wait.queue,
        "href": reverse("console-QueuePage", kwargs={"queue": wait.queue}),
        "waiting": show_capped(wait.waiting),
        "oldest_seconds": wait.oldest_due_seconds,
        "is_paused": wait.is_paused,
    }


def _kept(length: Length) -> dict[str, str]:
    return {"range": "" if length == USUAL else length.name}


def _since(series: Series) -> str:
    return series.range.since.isoformat().replace("+00:00", "Z")
