"""The charts of the overview as they are drawn, and the rows of their tables: of a series, in a zone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from django.utils.translation import gettext as _

from jobservice.jobs.statistic_ranges import TimeRange
from jobservice.jobs.statistic_reads import Point, Series, show_quantiles
from tenants.console.addresses import jobs_address
from tenants.console.charts import draw_line, round_up, stack_columns
from tenants.console.times import show_duration
from tenants.console.tones import JOB_STATES

# What ends, from the bottom of a column to its top.
ENDS = ("completed", "discarded", "cancelled")
_QUANTILES = (("p50", "completed"), ("p95", "warning"))
_DAY_SECONDS = 86_400


def show_throughput(series: Series, zone: tzinfo) -> dict[str, Any]:
    """Jobs that ended in each step, by how; each leads to the jobs that were accepted then."""
    counts = [[point.counts[end] for end in ENDS] for point in series.points]
    top = round_up(max((sum(step) for step in counts), default=0))
    rows = [_row(series.range, point, zone) for point in series.points]
    titles = [f"{row['at']}: {_words(row['counts'])}" for row in rows]
    tones = [JOB_STATES[end].name for end in ENDS]
    return {
        "top": f"{round(top):,}",
        "columns": stack_columns(counts, tones, top=top, titles=titles, hrefs=[row["href"] for row in rows]),
        "legend": [_legend(series, end) for end in ENDS],
        "rows": rows,
        **_ends_of(rows),
    }


def show_waits(series: Series, zone: tzinfo) -> dict[str, Any]:
    """How long the jobs of each step had waited when they started."""
    found = [show_quantiles(point.waits) for point in series.points]
    top = round_up(max((value for step in found if (value := step["p95"]) is not None), default=0))
    at = [_show_step(series.range, point.at, zone) for point in series.points]
    total = show_quantiles(series.total.waits)
    return {
        "top": show_duration(top),
        "lines": [draw_line([step[name] for step in found], tone, top=top) for name, tone in _QUANTILES],
        "legend": [{"name": name, "tone": tone, "milliseconds": total[name]} for name, tone in _QUANTILES],
        "rows": [{"at": when, "p50": step["p50"], "p95": step["p95"]} for when, step in zip(at, found, strict=True)],
        "first": at[0] if at else "",
        "last": at[-1] if at else "",
    }


def series_facts(series: Series) -> list[object]:
    """All that the charts show: they have changed when this has."""
    points = [[dict(point.counts), show_quantiles(point.waits)] for point in series.points]
    return [series.range.since.isoformat(), series.range.step, points]


def jobs_of(since: datetime, until: datetime | None = None, *words: tuple[str, str]) -> str:
    """The list of the jobs that were accepted in a time."""
    bounds = [("since", _moment(since)), *([] if until is None else [("until", _moment(until))])]
    return jobs_address([*words, *bounds])


def _row(range_: TimeRange, point: Point, zone: tzinfo) -> dict[str, Any]:
    return {
        "at": _show_step(range_, point.at, zone),
        "href": jobs_of(point.at, point.at + timedelta(seconds=range_.step_seconds)),
        "counts": [(JOB_STATES[end].word, point.counts[end]) for end in ENDS],
    }


def _legend(series: Series, end: str) -> dict[str, Any]:
    return {
        "tone": JOB_STATES[end],
        "count": series.total.counts[end],
        "href": jobs_of(series.range.since, None, ("state", end)),
    }


def _words(counts: Sequence[tuple[Any, int]]) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in counts if count) or _("nothing ended")


def _ends_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {"first": rows[0]["at"] if rows else "", "last": rows[-1]["at"] if rows else ""}


def _show_step(range_: TimeRange, at: datetime, zone: tzinfo) -> str:
    """When a step begins; a day of the statistics is one of UTC."""
    if range_.step_seconds >= _DAY_SECONDS:
        return f"{at:%Y-%m-%d}"
    local = at.astimezone(zone)
    is_short = range_.until - range_.since <= timedelta(days=1, hours=1)
    return f"{local:%H:%M}" if is_short else f"{local:%m-%d %H:%M}"


def _moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
