"""Which time the overview is of: a few lengths up to now, in steps that make a chart of some sixty columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobservice.jobs.statistic_ranges import TimeRange, read_range


@dataclass(frozen=True, slots=True)
class Length:
    """`name` is as the address has it."""

    name: str
    seconds: int
    step: str
    word: str | Promise


LENGTHS = (
    Length("15m", 900, "1m", _("15 min")),
    Length("1h", 3600, "1m", _("1 hour")),
    Length("6h", 6 * 3600, "15m", _("6 hours")),
    Length("24h", 86_400, "1h", _("24 hours")),
    Length("7d", 7 * 86_400, "6h", _("7 days")),
    Length("30d", 30 * 86_400, "1d", _("30 days")),
)
USUAL = LENGTHS[1]


def read_length(request: HttpRequest) -> Length:
    """The one in the address; the usual one where there is none, or none that there is."""
    return next((length for length in LENGTHS if length.name == request.GET.get("range")), USUAL)


def range_of(length: Length, *, now: datetime) -> TimeRange:
    return read_range(now - timedelta(seconds=length.seconds), None, length.step, now=now)


def show_lengths(current: Length) -> list[dict[str, Any]]:
    return [
        {"word": one.word, "query": "" if one == USUAL else f"?range={one.name}", "is_current": one == current}
        for one in LENGTHS
    ]
