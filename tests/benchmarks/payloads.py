"""The payload of the n-th job of a run: about 1 KB, each different, so that no result can pass for another's."""

from __future__ import annotations

PAYLOAD_CHARACTERS = 1000
_DIGITS = 8


def payload_of(number: int) -> str:
    return f"{number:0{_DIGITS}d}".ljust(PAYLOAD_CHARACTERS, "x")


def number_of(value: object) -> int:
    """Which job has this payload; -1 for what is no job's payload."""
    digits = value[:_DIGITS] if isinstance(value, str) else ""
    return int(digits) if digits.isdigit() and value == payload_of(int(digits)) else -1
