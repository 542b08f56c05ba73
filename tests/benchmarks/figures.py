"""Figures, and what docs/performance.md wants of them. Pure: nothing is measured or printed here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Round = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: a sentence and a rule over (ours, theirs)."""

    text: str
    is_met: Callable[[float, float | None], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `theirs` is None when there is nothing to compare with, `rival` says what it is."""

    name: str
    unit: str
    ours: float
    theirs: float | None = None
    rival: str = ""
    target: Target | None = None
    rounds: Sequence[Round] = field(default=(), repr=False)

    @property
    def ratio(self) -> float | None:
        """Ours to theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def is_met(self) -> bool | None:
        """None without a target, and where a target compares with what was not measured."""
        return None if self.target is None else self.target.is_met(self.ours, self.theirs)


def at_least_times(ratio: float) -> Target:
    """So many times the rival's rate."""
    return Target(f"≥ {ratio:g} x theirs", lambda ours, theirs: theirs is not None and ours >= ratio * theirs)


def between(low: float, high: float) -> Target:
    """Within these."""
    return Target(f"{low:g} to {high:g}", lambda ours, _theirs: low <= ours <= high)


def at_most_times_or(ratio: float, limit: float, unit: str) -> Target:
    """So many times the rival's time, or this, whichever is more."""
    return Target(
        f"≤ {ratio:g} x theirs or {limit:g} {unit}",
        lambda ours, theirs: ours <= max(limit, ratio * (theirs or 0.0)),
    )


def at_most_times(ratio: float) -> Target:
    """So many times the rival's time."""
    return Target(f"≤ {ratio:g} x theirs", lambda ours, theirs: theirs is not None and ours <= ratio * theirs)


def at_most(limit: float, unit: str) -> Target:
    return Target(f"≤ {limit:g} {unit}", lambda ours, _theirs: ours <= limit)


def at_most_and_theirs(limit: float, unit: str) -> Target:
    """Under a limit, and no slower than the rival."""
    return Target(
        f"≤ {limit:g} {unit}, ≤ theirs",
        lambda ours, theirs: ours <= limit and (theirs is None or ours <= theirs),
    )


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    """The median of each value over the rounds that have it."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return {name: statistics.median(one[name] for one in rounds if name in one) for name in names}


def quantile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent are not above."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def latencies_ms(sent: Sequence[float], answered: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    values = [(end - begin) * 1000 for begin, end in zip(sent, answered, strict=True)]
    return quantile(values, 50), quantile(values, 99)


def finished_per_second(times: Sequence[Sequence[float | str]]) -> float:
    """From the first dispatch to the last end, of (latency_ms, dispatched_at, finished_at) as the API shows them."""
    first = min(datetime.fromisoformat(str(time[1])) for time in times)
    last = max(datetime.fromisoformat(str(time[2])) for time in times)
    return len(times) / max((last - first).total_seconds(), 0.001)
