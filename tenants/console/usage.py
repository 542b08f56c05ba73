"""What a tenant uses: of each of its quotas, as `GET /v1/usage` reads it, and by day for the last thirty."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobservice.jobs.statistic_ranges import read_range
from jobservice.jobs.statistic_reads import Point, read_series
from jobservice.jobs.usage_report import report_usage
from tenants.console.access import ConsoleView
from tenants.console.charts import round_up, stack_columns
from tenants.console.curl import show_curl
from tenants.console.live import answer_part
from tenants.console.overview_charts import jobs_of
from tenants.console.tenant_limits import read_quotas
from tenants.roles import READ

DAYS = 30
# What each quota is called, and what it is; others are shown by their names.
NAMES: dict[str, tuple[str | Promise, str | Promise]] = {
    "open_jobs": (_("Unfinished jobs"), _("Accepted, and not over yet.")),
    "jobs_per_day": (_("Jobs accepted today"), _("From midnight to midnight of UTC.")),
    "stored_bytes": (_("Stored"), _("Payloads, results, errors and metadata, as they are sealed.")),
    "payload_bytes": (_("Size of one payload"), _("Of each job by itself.")),
    "running": (_("Running at once"), _("Those that a worker has.")),
    "queues": (_("Queues"), _("Each name that a job was sent to.")),
    "job_types": (_("Job types"), _("Those that were set up.")),
    "webhook_endpoints": (_("Webhook endpoints"), ""),
    "schedules": (_("Schedules"), ""),
    "api_keys": (_("API keys"), _("Those that are good for something.")),
    "requests_per_second": (_("Requests a second"), _("Of all keys together.")),
}
_BYTES = frozenset({"stored_bytes", "payload_bytes"})
_HIGH = 0.8


class Usage(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id = self.person.tenant_id
        now = datetime.now(UTC)
        points = read_series(tenant_id, read_range(now - timedelta(days=DAYS - 1), None, "1d", now=now)).points
        context = {
            **_quota_context(request, self.person),
            "chart": _chart(points),
            # The newest first; the days are those of UTC.
            "days": [_day(point) for point in reversed(points)],
            "curl": show_curl(request, "/v1/usage"),
        }
        return render(request, "console/usage.html", context)


class UsageQuotas(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = _quota_context(request, self.person)
        facts = [[str(value) for value in row.values()] for row in context["quotas"]]
        return answer_part(request, "console/parts/usage_quotas.html", context, facts=facts)


def _quota_context(request: HttpRequest, person: Any) -> dict[str, Any]:
    found = report_usage(person.tenant_id, read_quotas(person.tenant_id))
    return {"quotas": [show_quota(one) for one in found], "quotas_href": reverse("console-UsageQuotas")}


def show_quota(found: dict[str, Any]) -> dict[str, Any]:
    """A row of `report_usage` in words."""
    name, used, limit = found["name"], found["used"], found["limit"]
    word, help_ = NAMES.get(name, (name.replace("_", " ").capitalize(), ""))
    share = None if used is None or limit is None else used / limit if limit > 0 else 1.0
    return {
        "name": word,
        "help": help_,
        "used": None if used is None else _show(name, used),
        "limit": None if limit is None else _show(name, limit),
        "share": share,
        "percent": None if share is None else f"{share * 100:.0f}",
        "level": "low" if share is None or share < _HIGH else "high" if share < 1 else "full",
        "resets_at": found["resets_at"],
    }


def _show(name: str, number: int) -> str:
    if name not in _BYTES:
        return f"{number:,}"
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"


def _chart(points: Sequence[Point]) -> dict[str, Any]:
    days = [_day(point) for point in points]
    top = round_up(max((day["accepted"] for day in days), default=0))
    titles = [f"{day['day']}: {day['accepted']:,}" for day in days]
    values = [[day["accepted"]] for day in days]
    return {
        "top": f"{round(top):,}",
        "columns": stack_columns(values, ["executing"], top=top, titles=titles, hrefs=[day["href"] for day in days]),
        "first": days[0]["day"],
        "last": days[-1]["day"],
    }


def _day(point: Point) -> dict[str, Any]:
    shown = {"day": f"{point.at:%Y-%m-%d}", "href": jobs_of(point.at, point.at + timedelta(days=1))}
    return {**shown, **point.counts}
