"""Whether a payload fits its schema: one validator per schema, and a meter that ends a check that takes too long.

The validator is native code that nothing can interrupt from outside, and a small schema can make it work for hours. So
every subschema that could cost something is compiled as `{"allOf": [guard, subschema]}`: the guard is called before the
subschema is entered, and once the meter has run out it refuses everything, so that the validator comes back at once.
What lies between two guards is bounded by schema_document's limits and by the refusals of `_Guard.validate`.

Only `is_valid` is ever called: the validator's own error lists copy the payload for every error and have no end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

from jobservice.jobs.pattern_sizes import PATTERN_OPTIONS
from jobservice.jobs.schema_document import BY_NAME, MANY, ONE, SchemaDocument, Subschema

_URI = "jobservice:payload-schema"
_GUARD = "x-jobservice-guard"
# Guards passed between two looks at the clock, which costs as much as several guards.
_STEPS_PER_LOOK = 32
# What nothing can interrupt is held against the time that is left before it starts. Seconds, measured: a character
# under the worst pattern, per compiled byte; a name under one pattern of `patternProperties`; a member under one
# subschema that `unevaluated…` looks through; and a member for which a guard refuses in a loop that goes on.
_PER_PATTERN_BYTE = 5e-11
_PER_NAME = 2.5e-8
_PER_UNEVALUATED = 2e-8
_PER_REFUSAL = 1.5e-6
# The steps of a second: a step is a guard, or what takes about as long.
_STEPS = 50_000
_CONTAINERS = (dict, list)

# A subschema of nothing but these is answered in nanoseconds and needs no guard.
_CHEAP = frozenset(
    {"type", "const", "enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength"}
    | {"minItems", "maxItems", "minProperties", "maxProperties", "required"}
)
_MAX_CHEAP_LENGTH = 16
_SCALARS = (str, int, float, bool, type(None))
# A look at the clock after each of these, for one alone may take a millisecond; and after these when they are long.
_HEAVY = frozenset({"patternProperties", "uniqueItems", "unevaluatedItems", "unevaluatedProperties", "$ref"})
_HEAVY_WHEN_LONG = frozenset({"enum", "const", "required", "dependentRequired", "dependentSchemas", "properties"})
# Loops over the members that go on when a guard refuses.
_LOOPS_ON = frozenset({"contains", "unevaluatedItems", "unevaluatedProperties"})

Body = Mapping[str, Any] | bool


class TooComplex(Exception):
    """The check took longer than its meter allows."""


class Meter:
    """What checking may still cost: processor time of the thread that made it."""

    __slots__ = ("_began", "_until", "is_spent", "steps")

    def __init__(self, *, seconds: float) -> None:
        self._began = time.thread_time()
        self._until = self._began + seconds
        self.steps = 0.0
        self.is_spent = False

    @property
    def used_seconds(self) -> float:
        """The processor time since it was made."""
        return time.thread_time() - self._began

    def look(self) -> None:
        """Look at the clock. Raises `TooComplex` when there is no time left, or was none before."""
        self.steps = 0
        self.reserve(0)

    def reserve(self, seconds: float) -> None:
        """Raise `TooComplex` unless there is still this much time."""
        if self.is_spent or time.thread_time() + seconds > self._until:
            self.is_spent = True
            # So that every later guard looks, and refuses.
            self.steps = _STEPS_PER_LOOK
            raise TooComplex


class SchemaEngine:
    """A compiled schema, for any number of threads."""

    def __init__(self, document: SchemaDocument) -> None:
        """Raises `ValueError` when the validator does not take the schema."""
        self.document = document
        self._is_cheap = [_is_cheap(row) for row in document.rows]
        rows = {str(at): self._guarded(row) for at, row in enumerate(document.rows) if not self._is_cheap[at]}
        self._registry = Registry([(_URI, {"$defs": rows})], retriever=_refuse)
        self._whole = self._compile(self._place(0))

    def fits(self, value: object, *, meter: Meter) -> bool:
        """Whether the whole schema takes the value. Raises `TooComplex`."""
        return _is_valid(self._whole, value, meter)

    def row_fits(self, row: int, value: object, *, meter: Meter) -> bool:
        """Whether the subschema of this row takes the value. Raises `TooComplex`."""
        return _is_valid(self._compile(self._place(row)), value, meter)

    def body_fits(self, body: Body, value: object, *, meter: Meter) -> bool:
        """Whether some keywords of a row's body alone take the value. Raises `TooComplex`."""
        return _is_valid(self._compile(self._emit(body)), value, meter)

    def _compile(self, schema: Body) -> Draft202012Validator:
        return Draft202012Validator(
            schema if isinstance(schema, bool) else dict(schema),
            registry=self._registry,
            retriever=_refuse,
            keywords={_GUARD: _Guard},
            pattern_options=PATTERN_OPTIONS,
            validate_formats=False,
        )

    def _guarded(self, row: Subschema) -> Body:
        body = row.body if not isinstance(row.body, bool) else {}
        loops = {keyword: self._is_cheap[body[keyword]] for keyword in _LOOPS_ON & body.keys()}
        return {"allOf": [{_GUARD: _limits(row, body, loops)}, self._emit(row.body)]}

    def _emit(self, body: Body) -> Body:
        """The subschema as JSON Schema again, with a reference where a row's number stands."""
        if isinstance(body, bool):
            return body
        return {keyword: self._emit_below(keyword, value) for keyword, value in body.items()}

    def _emit_below(self, keyword: str, value: Any) -> Any:
        if keyword in ONE:
            return self._place(value)
        if keyword in MANY:
            return [self._place(row) for row in value]
        if keyword in BY_NAME:
            return {name: self._place(row) for name, row in value.items()}
        return value

    def _place(self, row: int) -> Body:
        return self.document.rows[row].body if self._is_cheap[row] else {"$ref": f"{_URI}#/$defs/{row}"}


class _Running(threading.local):
    meter: Meter


_running = _Running()


class _Guard:
    """The validator's keyword that comes before a subschema. `validate` is the one hot place, hence written flat."""

    __slots__ = ("_per_character", "_per_member", "_per_name_character", "_weight")

    def __init__(self, _schema: Any, limits: list[float], _path: Any) -> None:
        self._weight, self._per_member, self._per_name_character, self._per_character = limits

    def validate(self, value: Any) -> None:
        """Refuse, and everything after it, when the check has taken too long or the next step alone would."""
        meter = _running.meter
        if isinstance(value, _CONTAINERS):
            # The members of a cheap subschema come without a guard.
            meter.steps += self._weight + (len(value) >> 6)
            if meter.steps >= _STEPS_PER_LOOK:
                meter.look()
            if self._per_member:
                characters = sum(map(len, value)) if self._per_name_character and isinstance(value, dict) else 0
                meter.reserve(len(value) * self._per_member + characters * self._per_name_character)
            return
        meter.steps += self._weight
        if self._per_character and isinstance(value, str):
            meter.steps += int(len(value) * self._per_character * _STEPS)
        if meter.steps >= _STEPS_PER_LOOK:
            meter.look()
            if self._per_character and isinstance(value, str):
                meter.reserve(len(value) * self._per_character)


def _limits(row: Subschema, body: Mapping[str, Any], loops: Mapping[str, bool]) -> list[float]:
    """What a guard needs to know: its steps, then seconds per member, per character of a name, per character.

    `loops` says of each keyword that goes on when a guard refuses whether its subschema is cheap.
    """
    per_member = _PER_NAME * len(body.get("patternProperties", ()))
    for keyword, is_cheap in loops.items():
        if not is_cheap:
            per_member += _PER_REFUSAL
        if keyword != "contains":
            per_member += _PER_UNEVALUATED * row.in_place
    return [
        _weight(row, body),
        per_member,
        _PER_PATTERN_BYTE * row.name_pattern_bytes,
        _PER_PATTERN_BYTE * row.pattern_bytes,
    ]


def _weight(row: Subschema, body: Mapping[str, Any]) -> int:
    if _HEAVY & body.keys() or any(not _is_small(body[keyword]) for keyword in _HEAVY_WHEN_LONG & body.keys()):
        return _STEPS_PER_LOOK
    # Branches that are cheap come without a guard, too; a number is divided at its own pace.
    return min(row.in_place + (4 if "multipleOf" in body else 0), _STEPS_PER_LOOK)


def _is_cheap(row: Subschema) -> bool:
    if isinstance(row.body, bool):
        return True
    return row.body.keys() <= _CHEAP and all(
        isinstance(rule, _SCALARS) if keyword == "const" else _is_small(rule) for keyword, rule in row.body.items()
    )


def _is_small(rule: Any) -> bool:
    if isinstance(rule, dict):
        return len(rule) <= _MAX_CHEAP_LENGTH
    if isinstance(rule, list):
        return len(rule) <= _MAX_CHEAP_LENGTH and all(isinstance(part, _SCALARS) for part in rule)
    return True


def _is_valid(validator: Draft202012Validator, value: object, meter: Meter) -> bool:
    meter.look()
    _running.meter = meter
    is_valid = validator.is_valid(value)
    if meter.is_spent:
        # The answer is the guards', not the schema's.
        raise TooComplex
    return is_valid


def _refuse(uri: str) -> Any:
    raise ValueError(f"a payload schema opens nothing, not even {uri[:100]}")
