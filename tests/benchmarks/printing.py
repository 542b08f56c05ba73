"""How figures look: one table on the screen, one document in a file. No figure is made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import Machine

_HEADS = ("figure", "", "ours", "theirs", "ratio", "target", "met", "rounds", "theirs is")
_NUMBERS = (2, 3, 4, 7)
_MARKS = {True: "yes", False: "NO", None: ""}


def show_machine(machine: Machine) -> str:
    """The machine's line, and a warning when something else was running."""
    if not machine.is_busy:
        return machine.line
    return (
        f"{machine.line}\nThe machine was busy when the run began (load average {machine.load:.1f} on "
        f"{machine.cores} cores): take the ratios with care and the absolute figures not at all."
    )


def show_table(figures: Sequence[Figure], *, judges: bool) -> str:
    rows = [_HEADS, *(_row(figure, judges=judges) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return "\n".join(_line(row, widths) for row in rows)


def to_document(
    machine: Machine, figures: Sequence[Figure], *, faults: Sequence[str], absent: Sequence[str], judges: bool
) -> dict[str, Any]:
    """Everything of a run, for a file."""
    return {
        "machine": asdict(machine),
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit,
                "ours": figure.ours,
                "theirs": figure.theirs,
                "ratio": figure.ratio,
                "rival": figure.rival or None,
                "target": figure.target.text if figure.target else None,
                "is_met": figure.is_met if judges else None,
                "rounds": [dict(one) for one in figure.rounds],
            }
            for figure in figures
        ],
        "faults": list(faults),
        "absent": list(absent),
    }


def _row(figure: Figure, *, judges: bool) -> tuple[str, ...]:
    return (
        figure.name,
        figure.unit,
        _number(figure.ours),
        "" if figure.theirs is None else _number(figure.theirs),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.target.text if figure.target else "",
        _MARKS[figure.is_met] if judges else "",
        str(len(figure.rounds)),
        figure.rival,
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Numbers to the right, words to the left."""
    cells = [
        cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
