"""Reads the fields of one JSON object from outside and collects every fault in it. Null means: not given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from jobservice.errors import EgressRefused, Fault, Invalid, JobserviceError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_NAME_RULE = "must start with a-z or 0-9 and go on with at most 99 of a-z, 0-9, '.', '_' and '-'"
# RFC 3339, section 5.6; the offset is not optional.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_T = TypeVar("_T")
# As many as an answer shows. Of fields that a stranger thought up no more are noted.
MOST_UNKNOWN = 100
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


class Fields:
    """One object's fields. Each reader answers the value, or None after noting what is wrong with it."""

    def __init__(self, raw: Mapping[str, object], *, faults: list[Fault], pointer: str = "") -> None:
        self.raw = raw
        self.faults = faults
        self._pointer = pointer

    def refuse(self, name: str, code: str, detail: str) -> None:
        """Note a fault of one field."""
        self.faults.append(Fault(self.pointer(name), code, detail))

    def pointer(self, name: str) -> str:
        """The field's RFC 6901 pointer."""
        return f"{self._pointer}/{name.replace('~', '~0').replace('/', '~1')}"

    def refuse_others(self, *, known: frozenset[str]) -> None:
        """Note every field that is not known."""
        for name in islice((name for name in self.raw if name not in known), MOST_UNKNOWN):
            # A stranger's name is cut: the answer must not grow with the request.
            self.refuse(name[:200], "unknown-field", "There is no such field.")

    def require(self, name: str) -> None:
        """Note a field that is missing."""
        if self.raw.get(name) is None:
            self.refuse(name, "required", f"{name} is required.")

    def integer(self, name: str, *, low: int, high: int) -> int | None:
        """A whole number within the bounds."""
        value = self._given(name, (int, float), wanted="a whole number")
        if value is None:
            return None
        if not is_whole(value):
            self.refuse(name, "wrong-type", f"{name} must be a whole number.")
            return None
        if not low <= value <= high:
            self.refuse(name, "out-of-range", f"{name} must be between {low} and {high}.")
            return None
        return int(value)

    def number(self, name: str, *, low: float, high: float) -> float | None:
        """A number within the bounds."""
        value: float | None = self._given(name, (int, float), wanted="a number")
        if value is not None and not low <= value <= high:
            self.refuse(name, "out-of-range", f"{name} must be between {low:g} and {high:g}.")
            return None
        return value

    def text(self, name: str, *, max_characters: int) -> str | None:
        """A string that a text column can hold."""
        value = self._given(name, str, wanted="a string")
        if value is None:
            return None
        if len(value) > max_characters:
            self.refuse(name, "too-long", f"{name} may have at most {max_characters} characters.")
            return None
        if not is_storable(value):
            self.refuse(name, "bad-format", f"{name} has a character that cannot be stored.")
            return None
        return value

    def name(self, name: str) -> str | None:
        """A name of a queue or job type."""
        value = self._given(name, str, wanted="a string")
        if value is not None and not NAME.fullmatch(value):
            self.refuse(name, "bad-format", f"{name} {_NAME_RULE}.")
            return None
        return value

    def choice(self, name: str, values: tuple[str, ...]) -> str | None:
        """One of a few words."""
        value = self._given(name, str, wanted="a string")
        if value is not None and value not in values:
            self.refuse(name, "out-of-range", f"{name} must be one of {', '.join(values)}.")
            return None
        return value

    def boolean(self, name: str) -> bool | None:
        """True or false."""
        value = self.raw.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "wrong-type", f"{name} must be true or false.")
            return None
        return value

    def instant(self, name: str) -> datetime | None:
        """A time with its offset, in UTC."""
        value = self._given(name, str, wanted="a string")
        if value is None:
            return None
        moment = parse_instant(value)
        if moment is None:
            self.refuse(name, "bad-format", f"{name} must be an RFC 3339 time such as 2027-01-31T12:00:00Z.")
        return moment

    def array(self, name: str) -> list[Any] | None:
        """An array of anything."""
        return self._given(name, list, wanted="an array")

    def fields(self, name: str) -> Fields | None:
        """The fields of an object inside this one."""
        value = self._given(name, dict, wanted="an object")
        return None if value is None else Fields(value, faults=self.faults, pointer=self.pointer(name))

    def json(self, name: str) -> bytes | None:
        """Any JSON, compact and in UTF-8."""
        try:
            return compact_json(self.raw.get(name))
        except ValueError:
            self.refuse(name, "bad-format", f"{name} has a value that JSON cannot hold.")
            return None

    def _given(self, name: str, kind: type[_T] | tuple[type[_T], ...], *, wanted: str) -> _T | None:
        value = self.raw.get(name)
        if value is None:
            return None
        # Python counts true as a number, JSON does not.
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(name, "wrong-type", f"{name} must be {wanted}, not {_KINDS.get(type(value), 'that')}.")
            return None
        return value


def is_whole(value: object) -> bool:
    """Whether JSON counts it as an integer: 60.0 is one (JSON Schema 2020-12, 6.1.1), true is none."""
    return type(value) is int or (isinstance(value, float) and value.is_integer())


def refusal(faults: list[Fault]) -> JobserviceError:
    """The error to raise for these faults; refused URLs alone are a problem of their own."""
    if all(fault.code == EgressRefused.code for fault in faults):
        return EgressRefused(f"{faults[0].pointer[1:]}: {faults[0].detail}")
    return Invalid(faults)


def compact_json(value: object) -> bytes:
    """The value as UTF-8 JSON without white space. Raises `ValueError` for NaN and lone surrogates."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse_instant(text: str) -> datetime | None:
    """The time in UTC of an RFC 3339 text; None when it is none or lies outside years 1 to 9999."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_storable(text: str) -> bool:
    """Whether PostgreSQL's text can hold it: no NUL, no lone surrogate."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
