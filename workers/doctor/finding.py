"""What one check found, in words for the operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` is a sentence that says what to do; empty when all is well."""

    status: Status
    detail: str
    fix: str = ""


def ok(detail: str) -> Finding:
    return Finding("ok", detail)


def warning(detail: str, *, fix: str) -> Finding:
    """Something to know about that breaks no promise yet."""
    return Finding("warning", detail, fix)


def problem(detail: str, *, fix: str) -> Finding:
    return Finding("problem", detail, fix)


def show_count(count: int, noun: str, *, plural: str = "") -> str:
    """`1 job`, `2 jobs`, `1 delivery`, `2 deliveries`."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def show_age(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h`, `5 d`: the two or three digits that matter."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
