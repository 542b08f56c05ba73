"""The operation that tells what happened, counted by time."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from api.queries import read_statistics_query
from api.views import ApiView
from jobservice.jobs.representation import show_time
from jobservice.jobs.statistic_reads import Point, Series, StatisticFilters, read_series, show_quantiles


class ReadStatistics(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request) -> Response:
        """What happened in a time, step by step, in the queues that the key reaches."""
        query = read_statistics_query(request, now=timezone.now())
        filters = StatisticFilters(queue=query.queue, type=query.type, queues=self.credential.queues)
        return Response(represent_series(read_series(self.credential.tenant_id, query.range, filters)))


def represent_series(series: Series) -> dict[str, Any]:
    """The series as the API shows it."""
    return {
        "since": show_time(series.range.since),
        "until": show_time(series.range.until),
        "step": series.range.step,
        "total": _represent(series.total),
        "data": [{"at": show_time(point.at), **_represent(point)} for point in series.points],
    }


def _represent(point: Point) -> dict[str, Any]:
    return {**point.counts, "wait_ms": show_quantiles(point.waits), "run_ms": show_quantiles(point.runs)}
