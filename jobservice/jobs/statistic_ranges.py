"""Which time a series is of, and in which steps. Pure: what is asked for is checked here, without a database.

A series begins and ends on borders of its steps, in UTC: the first and the last one are whole. It is read from rows of
the largest kept step that its own is made of, so that a month takes no more rows than an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobservice.errors import Fault, Invalid
from jobservice.jobs.statistics import DAY, HOUR, KEEP_SECONDS, MINUTE

STEPS = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY}
MAX_POINTS = 1000
DEFAULT_SECONDS = HOUR
# A step that nobody chose makes at most so many points.
_USUAL_POINTS = 120


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `since` up to `until`, which is not in it; both are on borders of the step."""

    since: datetime
    until: datetime
    step: str

    @property
    def step_seconds(self) -> int:
        return STEPS[self.step]

    @property
    def base_seconds(self) -> int:
        """The step of the rows that it is read from."""
        return max(base for base in KEEP_SECONDS if self.step_seconds % base == 0)

    def moments(self) -> list[datetime]:
        """Where each of its steps begins."""
        count = round((self.until - self.since).total_seconds()) // self.step_seconds
        return [self.since + timedelta(seconds=self.step_seconds * number) for number in range(count)]


def read_range(since: datetime | None, until: datetime | None, step: str | None, *, now: datetime) -> TimeRange:
    """What is asked for: the hour until now, unless it is said, in a step that makes a chart of it.

    Raises `Invalid` for what is not kept, ends before it begins, or has more than `MAX_POINTS` points.
    """
    until = until or now
    since = since or until - timedelta(seconds=DEFAULT_SECONDS)
    if since >= until:
        raise _refuse("since", "since must be before until.")
    if until > now + timedelta(days=366):
        raise _refuse("until", "until is too far in the future.")
    chosen = step or _choose_step(since, until, now=now)
    found = TimeRange(_floor(since, STEPS[chosen]), _ceil(until, STEPS[chosen]), chosen)
    if found.since < now - timedelta(seconds=KEEP_SECONDS[found.base_seconds] + found.step_seconds):
        days = KEEP_SECONDS[found.base_seconds] // DAY
        raise _refuse("since", f"In steps of {chosen}, since may be at most {days} days ago.")
    if len(found.moments()) > MAX_POINTS:
        raise _refuse("step", f"That would be more than {MAX_POINTS} points; take a larger step or a shorter time.")
    return found


def _choose_step(since: datetime, until: datetime, *, now: datetime) -> str:
    """The smallest step that is kept for so long and makes a chart of the time."""
    seconds, age = (until - since).total_seconds(), (now - since).total_seconds()
    for name, step_seconds in STEPS.items():
        kept = max(keep for base, keep in KEEP_SECONDS.items() if step_seconds % base == 0)
        if seconds / step_seconds <= _USUAL_POINTS and age <= kept:
            return name
    return "1d"


def _floor(moment: datetime, step_seconds: int) -> datetime:
    seconds = int(moment.timestamp() // step_seconds) * step_seconds
    return datetime.fromtimestamp(seconds, UTC)


def _ceil(moment: datetime, step_seconds: int) -> datetime:
    floor = _floor(moment, step_seconds)
    return floor if floor == moment else floor + timedelta(seconds=step_seconds)


def _refuse(name: str, detail: str) -> Invalid:
    return Invalid([Fault(f"/{name}", "out-of-range", detail)])
