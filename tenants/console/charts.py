"""The geometry of charts: what stands where in a drawing of `WIDTH` by `HEIGHT`. Pure.

It is stretched over its place. Words stand beside it and not in it, and the same numbers in a table: nothing is said by
a drawing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 160
# Of a step's width its bar takes so much.
_FILLED = 0.78
# A bar that stands for anything at all can be seen.
_LEAST_HEIGHT = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column. `tone` is one of `frontend/css/themes.css`."""

    tone: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A step of the time: where a pointer hits it, what it says then, where it leads, and the bars that stand in it."""

    x: float
    width: float
    title: str
    href: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a series; where there is no value it is broken off, and begins again."""

    tone: str
    runs: Sequence[str]
    # Values that stand between two gaps, alone: a line of one point is not seen.
    dots: Sequence[tuple[float, float]]


def round_up(value: float) -> float:
    """The next number that begins with 1, 2 or 5 and has nothing but zeros then; 1 of what is not above zero."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * step for step in (1, 2, 5, 10) if size * step >= value)


def stack_columns(
    values: Sequence[Sequence[float]], tones: Sequence[str], *, top: float, titles: Sequence[str], hrefs: Sequence[str]
) -> list[Column]:
    """A column for each step, its values one upon the other, the first one at the bottom."""
    width = WIDTH / max(1, len(values))
    return [
        Column(
            round(place * width, 2), round(width, 2), titles[place], hrefs[place], _stack(place * width, width, step)
        )
        for place, step in enumerate(
            [[(tone, value / top) for tone, value in zip(tones, step, strict=True)] for step in values]
        )
    ]


def draw_line(values: Sequence[float | None], tone: str, *, top: float) -> Line:
    """The line through the middles of the steps."""
    width = WIDTH / max(1, len(values))
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            height = min(1.0, value / top) * HEIGHT
            runs[-1].append((round((place + 0.5) * width, 1), round(HEIGHT - height, 1)))
    lines = [" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1]
    return Line(tone, lines, [run[0] for run in runs if len(run) == 1])


def _stack(x: float, width: float, step: Sequence[tuple[str, float]]) -> list[Bar]:
    bars: list[Bar] = []
    y = float(HEIGHT)
    for tone, share in step:
        if share > 0:
            height = max(_LEAST_HEIGHT, min(1.0, share) * HEIGHT)
            y -= height
            left = x + width * (1 - _FILLED) / 2
            bars.append(Bar(tone, round(left, 2), round(y, 2), round(width * _FILLED, 2), round(height, 2)))
    return bars
