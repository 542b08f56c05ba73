"""The five numbers of the overview: what there is now, what was done in a time, and how it came about. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.jobs.overview import CappedCount, QueueWait
from jobservice.jobs.statistic_reads import Point, Series, show_quantiles
from tenants.console.addresses import jobs_address
from tenants.console.overview_charts import jobs_of
from tenants.console.times import show_duration

_ENDS = ("completed", "discarded", "cancelled")


def show_figures(counts: Mapping[str, CappedCount], waits: Sequence[QueueWait], series: Series) -> list[dict[str, Any]]:
    """Each with its value, where it leads, and a series with its own name: of what is now there is no history."""
    points, since = series.points, series.range.since
    running = CappedCount(
        counts["dispatched"].count + counts["executing"].count,
        counts["dispatched"].is_more or counts["executing"].is_more,
    )
    return [
        _figure(_("Ready"), show_capped(counts["available"]), jobs_address([("state", "available")]), "available")
        | _spark(_("accepted"), [point.counts["accepted"] for point in points]),
        _figure(_("Running"), show_capped(running), jobs_address([("state", "executing")]), "executing")
        | _spark(_("runs that ended"), [_runs(point) for point in points]),
        _figure(_("Done a minute"), _per_minute(series), jobs_of(since, None, ("state", "completed")), "completed")
        | _spark(_("completed"), [point.counts["completed"] for point in points]),
        _figure(_("Failed"), _percent(series.total), jobs_of(since, None, ("state", "discarded")), "discarded")
        | _spark(_("failed for good, %"), [round(failed_share(point) * 100, 1) for point in points]),
        _figure(_("Oldest wait"), _oldest(waits), _queue_of(waits), "retryable")
        | _spark(_("wait p95, ms"), [show_quantiles(point.waits)["p95"] or 0 for point in points]),
    ]


def failed_share(point: Point) -> float:
    """Of those that ended by themselves, the share that failed for good."""
    done, failed = point.counts["completed"], point.counts["discarded"]
    return failed / (done + failed) if done + failed else 0.0


def _figure(name: str, value: str, href: str, tone: str) -> dict[str, Any]:
    return {"name": name, "value": value, "href": href, "tone": tone}


def _spark(name: str, values: list[float]) -> dict[str, Any]:
    return {"series": name, "values": values}


def show_capped(count: CappedCount) -> str:
    """With a + when there are more."""
    return f"{count.count:,}+" if count.is_more else f"{count.count:,}"


def _runs(point: Point) -> int:
    return sum(point.counts[end] for end in _ENDS) + point.counts["retried"]


def _per_minute(series: Series) -> str:
    minutes = (series.range.until - series.range.since).total_seconds() / 60
    rate = series.total.counts["completed"] / minutes
    return f"{rate:,.0f}" if rate >= 100 or rate == 0 else f"{rate:.2g}" if rate < 10 else f"{rate:.1f}"


def _percent(total: Point) -> str:
    share = failed_share(total) * 100
    return f"{share:.0f} %" if share == 0 or share >= 10 else f"{share:.2g} %"


def _oldest(waits: Sequence[QueueWait]) -> str:
    seconds = waits[0].oldest_due_seconds if waits else None
    return "\u2013" if seconds is None else show_duration(seconds * 1000)


def _queue_of(waits: Sequence[QueueWait]) -> str:
    if not waits:
        return reverse("console-QueueList")
    return reverse("console-QueuePage", kwargs={"queue": waits[0].queue})
