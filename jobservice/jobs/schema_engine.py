"""Whether a payload fits its schema: one validator per schema, and a meter that ends a check that takes too long.

The validator is native code that nothing can interrupt from outside, and a small schema can make it work for hours. So
every subschema that could cost something is compiled as `{"allOf": [guard, subschema]}`: the guard is called before the
subschema is entered, and once the meter has run out it refuses everything, so that the validator comes back at once.
What lies between two guards is bounded by schema_document's limits and by the refusals of `_Guard.validate`.

Only `is_valid` is ever called: the validator's own error lists copy the payload for every error and have no end.
"""

from __future__ import annotations

import threading
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

from jobservice.jobs.pattern_sizes import PATTERN_OPTIONS
from jobservice.jobs.schema_document import BY_NAME, MANY, ONE, SchemaDocument, Subschema
from jobservice.jobs.schema_meter import STEPS_PER_LOOK, Meter, TooComplex
from jobservice.jobs.schema_prices import (
    CONTAINERS,
    LOOPS_ON,
    PER_META_BYTE,
    PER_RULE,
    Body,
    CheapSizes,
    limits_of,
    price_of_unique,
    prices_of,
)

_URI = "jobservice:payload-schema"
_GUARD = "x-jobservice-guard"
# So many are held against the time that is left, too.
_MANY_RULES = 20_000
# The steps of a second: a step is a guard, or what takes about as long.
_STEPS = 50_000


class SchemaEngine:
    """A compiled schema, for any number of threads."""

    def __init__(self, document: SchemaDocument) -> None:
        """Raises `ValueError` when the validator does not take the schema."""
        self.document = document
        sizes = CheapSizes(document.rows)
        self._is_cheap = [sizes.of(row) is not None for row in range(len(document.rows))]
        self._sizes = sizes
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
        loops = {keyword: self._is_cheap[body[keyword]] for keyword in LOOPS_ON & body.keys()}
        return {
            "allOf": [
                {_GUARD: [*limits_of(row, body, loops), *prices_of(row, body, self._sizes)]},
                self._emit(row.body),
            ]
        }

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
        return self._emit(self.document.rows[row].body) if self._is_cheap[row] else {"$ref": f"{_URI}#/$defs/{row}"}


class _Running(threading.local):
    meter: Meter


_running = _Running()


class _Guard:
    """The validator's keyword that comes before a subschema. `validate` is the one hot place, hence written flat."""

    __slots__ = (
        "_is_of_meta",
        "_is_of_numbers",
        "_is_of_unique",
        "_member_rules",
        "_per_character",
        "_per_member",
        "_per_name_character",
        "_price",
        "_weight",
    )

    def __init__(self, _schema: Any, limits: list[float], _path: Any) -> None:
        self._weight, self._per_member, self._per_name_character, self._per_character, *prices = limits
        self._price, self._member_rules, self._is_of_numbers, self._is_of_unique, self._is_of_meta = prices

    def validate(self, value: Any) -> None:
        """Refuse, and everything after it, when the check has taken too long or the next step alone would."""
        meter = _running.meter
        meter.priced += self._price
        if isinstance(value, CONTAINERS):
            # The members of a cheap subschema come without a guard.
            rules = len(value) * self._member_rules
            meter.steps += self._weight + (int(rules) >> 6)
            if meter.steps >= STEPS_PER_LOOK:
                meter.look()
            if rules > _MANY_RULES:
                meter.reserve(rules * PER_RULE)
            meter.priced += rules * PER_RULE
            if self._is_of_unique and isinstance(value, list):
                seconds = price_of_unique(value)
                meter.reserve(seconds)
                meter.priced += seconds
            if self._is_of_meta:
                meter.reserve(meter.payload_bytes * PER_META_BYTE)
            if self._per_member:
                characters = sum(map(len, value)) if self._per_name_character and isinstance(value, dict) else 0
                seconds = len(value) * self._per_member + characters * self._per_name_character
                meter.reserve(seconds)
                meter.priced += seconds
            return
        meter.steps += self._weight
        if self._per_character and isinstance(value, str):
            meter.steps += int(len(value) * self._per_character * _STEPS)
        elif self._is_of_numbers and isinstance(value, int) and value.bit_length() > 64:
            meter.go_by_clock()
        if meter.steps >= STEPS_PER_LOOK:
            meter.look()
            if self._per_character and isinstance(value, str):
                meter.reserve(len(value) * self._per_character)
        if self._per_character and isinstance(value, str):
            meter.priced += len(value) * self._per_character


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
