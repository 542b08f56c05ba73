"""Reads of statistics: series and totals of a time, and the job types that fail most. How they come about is in
`statistics.py`. No read here looks at a job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.jobs.histograms import Histogram, add_histograms, find_quantile, read_histogram
from jobservice.jobs.statistic_ranges import TimeRange
from jobservice.statements import run_statement
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
# The name in the rows of all queues, or types, together.
ALL = ""
COUNTS = ("accepted", "completed", "discarded", "cancelled", "retried")
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class StatisticFilters:
    """Of which jobs; None: all. `queues` are those that the asking key is limited to."""

    queue: str | None = None
    type: str | None = None
    queues: Collection[str] | None = None

    def find_queues(self) -> list[str]:
        """Of which queues the rows are wanted; the empty name is of all."""
        if self.queues is None:
            return [self.queue or ALL]
        return [name for name in sorted(self.queues) if self.queue in (None, name)]


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in one step, or in all of them. Histograms of waits and runs in milliseconds."""

    at: datetime
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    waits: Histogram = field(default_factory=dict)
    runs: Histogram = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """A point for each step of the range, also where nothing happened, and all of them as one."""

    range: TimeRange
    points: list[Point]
    total: Point


@dataclass(frozen=True, slots=True)
class TypeSummary:
    """What became of the jobs of one type in a time."""

    type: str
    counts: Mapping[str, int]


def read_series(tenant_id: UUID, range_: TimeRange, filters: StatisticFilters | None = None) -> Series:
    """What happened in a time, step by step. Index: statistic_pkey."""
    parameters = _parameters(tenant_id, range_, filters or StatisticFilters())
    with tenant_tx(tenant_id):
        counted = run_statement(_SQL / "count_statistics.sql", parameters)
        measured = run_statement(_SQL / "measure_statistics.sql", parameters)
    histograms = {(row.at, row.is_wait): read_histogram(row.entries) for row in measured}
    counts = {row.at: _counts(row) for row in counted}
    points = [_point(at, counts, histograms) for at in range_.moments()]
    return Series(range_, points, _add(range_.since, points))


def summarize_types(tenant_id: UUID, range_: TimeRange, *, limit: int = 10) -> list[TypeSummary]:
    """The types most of whose jobs were discarded in a time, the worst first; those without any are left out."""
    parameters = {"tenant": tenant_id, "base": range_.base_seconds, "since": range_.since, "until": range_.until}
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "rank_failing_types.sql", {**parameters, "limit": limit})
    return [TypeSummary(row.type, _counts(row)) for row in rows]


def show_quantiles(histogram: Histogram) -> dict[str, float | None]:
    """The quantiles of durations in milliseconds, to as many digits as they are worth."""
    return {name: _rounded(find_quantile(histogram, share)) for name, share in QUANTILES.items()}


def _parameters(tenant_id: UUID, range_: TimeRange, filters: StatisticFilters) -> dict[str, Any]:
    return {
        "tenant": tenant_id,
        "base": range_.base_seconds,
        "step": range_.step_seconds,
        "since": range_.since,
        "until": range_.until,
        "queues": filters.find_queues(),
        "type": filters.type or ALL,
    }


def _counts(row: Any) -> dict[str, int]:
    return {name: getattr(row, name) for name in COUNTS}


def _point(
    at: datetime, counts: Mapping[datetime, dict[str, int]], histograms: Mapping[tuple[datetime, bool], Histogram]
) -> Point:
    if at not in counts:
        return Point(at)
    return Point(at, counts[at], histograms.get((at, True), {}), histograms.get((at, False), {}))


def _add(at: datetime, points: list[Point]) -> Point:
    return Point(
        at,
        {name: sum(point.counts[name] for point in points) for name in COUNTS},
        add_histograms(point.waits for point in points),
        add_histograms(point.runs for point in points),
    )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else float(f"{milliseconds:.3g}")
