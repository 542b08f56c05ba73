"""Where a payload breaks its schema, and by which rule: the faults of a payload that the validator has refused.

The validator says whether; this walks down only where it says no, and names the rule, never the payload's value. The
meter that bounds the check bounds the walk, too: when it runs out, the faults found so far are all there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from jobservice.errors import Fault
from jobservice.jobs.schema_document import escape
from jobservice.jobs.schema_engine import SchemaEngine
from jobservice.jobs.schema_meter import Meter, TooComplex

MAX_FAULTS = 100
MISMATCH = "schema-mismatch"

# The keywords that make sense only together: judged as one.
_CONTAINS = ("contains", "minContains", "maxContains")
_ARTICLES = {"array": "an array", "object": "an object", "integer": "an integer", "null": "null"}

# A fault's code and sentence for each rule that one value keeps or breaks by itself.
_RULES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "type": ("wrong-type", lambda rule: f"It must be {_show_types(rule)}."),
    "const": ("out-of-range", lambda rule: f"It must be {_show(rule)}."),
    "enum": ("out-of-range", lambda rule: f"It must be one of {_show(rule)}."),
    "minimum": ("out-of-range", lambda rule: f"It must be at least {_show(rule)}."),
    "exclusiveMinimum": ("out-of-range", lambda rule: f"It must be more than {_show(rule)}."),
    "maximum": ("out-of-range", lambda rule: f"It must be at most {_show(rule)}."),
    "exclusiveMaximum": ("out-of-range", lambda rule: f"It must be less than {_show(rule)}."),
    "multipleOf": ("out-of-range", lambda rule: f"It must be a multiple of {_show(rule)}."),
    "minLength": ("too-short", lambda rule: f"It must have at least {_show(rule)} characters."),
    "maxLength": ("too-long", lambda rule: f"It may have at most {_show(rule)} characters."),
    "pattern": ("bad-format", lambda rule: f"It must match the pattern {_show(rule)}."),
    "minItems": ("too-short", lambda rule: f"It must have at least {_show(rule)} items."),
    "maxItems": ("too-long", lambda rule: f"It may have at most {_show(rule)} items."),
    "uniqueItems": ("not-unique", lambda rule: "Its items must differ from one another."),
    "minProperties": ("too-short", lambda rule: f"It must have at least {_show(rule)} members."),
    "maxProperties": ("too-long", lambda rule: f"It may have at most {_show(rule)} members."),
    "$ref": (MISMATCH, lambda rule: "It must be a JSON Schema."),
}


def find_faults(engine: SchemaEngine, payload: object, *, pointer: str, meter: Meter) -> list[Fault]:
    """At least one fault, at most `MAX_FAULTS`, of a payload that does not fit."""
    faults: list[Fault] = []
    # Whatever the walk leaves out, the payload is refused.
    meter.go_by_clock()
    with suppress(TooComplex, RecursionError):
        for fault in islice(_Walk(engine, meter).faults(0, payload, pointer), MAX_FAULTS):
            faults.append(fault)  # noqa: PERF402 (what was found before an exception counts)
    return faults or [Fault(pointer, MISMATCH, "It breaks the schema in a place that takes too long to find.")]


class _Walk:
    def __init__(self, engine: SchemaEngine, meter: Meter) -> None:
        self._engine = engine
        self._meter = meter

    def faults(self, row: int, value: Any, pointer: str) -> Iterator[Fault]:
        """What is wrong with a value that the row refuses."""
        body = self._engine.document.rows[row].body
        if isinstance(body, bool):
            yield Fault(pointer, MISMATCH, "There may be no value here.")
            return
        yield from self._broken_rules(body, value, pointer)
        yield from self._same_value(body, value, pointer)
        if isinstance(value, dict):
            yield from self._members(body, value, pointer)
        if isinstance(value, list):
            yield from self._items(body, value, pointer)

    def _fits(self, row: int, value: Any) -> bool:
        return self._engine.row_fits(row, value, meter=self._meter)

    def _fits_rules(self, body: Mapping[str, Any], value: Any, *keywords: str) -> bool:
        rules = {keyword: body[keyword] for keyword in keywords if keyword in body}
        return self._engine.body_fits(rules, value, meter=self._meter)

    def _broken_rules(self, body: Mapping[str, Any], value: Any, pointer: str) -> Iterator[Fault]:
        for keyword, (code, sentence) in _RULES.items():
            if keyword in body and not self._fits_rules(body, value, keyword):
                yield Fault(pointer, code, sentence(body[keyword]))
        if isinstance(value, dict):
            missing = [name for name in body.get("required", ()) if name not in value]
            for name, others in body.get("dependentRequired", {}).items():
                missing += [other for other in others if name in value and other not in value]
            for name in dict.fromkeys(missing):
                yield Fault(_below(pointer, name), "required", "It is required.")

    def _same_value(self, body: Mapping[str, Any], value: Any, pointer: str) -> Iterator[Fault]:
        for row in body.get("allOf", ()):
            yield from self._unless_fit(row, value, pointer)
        for keyword in ("anyOf", "oneOf"):
            if keyword in body and not self._fits_rules(body, value, keyword):
                yield from self._branches(body[keyword], value, pointer)
        if "not" in body and self._fits(body["not"], value):
            yield Fault(pointer, MISMATCH, "It has a form that the schema excludes.")
        if "if" in body:
            then = "then" if self._fits(body["if"], value) else "else"
            if then in body:
                yield from self._unless_fit(body[then], value, pointer)
        if isinstance(value, dict):
            for name, row in body.get("dependentSchemas", {}).items():
                if name in value:
                    yield from self._unless_fit(row, value, pointer)

    def _branches(self, rows: list[int], value: Any, pointer: str) -> Iterator[Fault]:
        """One of several forms: when the value's type leaves only one, what is wrong with that."""
        if any(self._fits(row, value) for row in rows):
            yield Fault(pointer, MISMATCH, "It has more than one of the forms of which it must have exactly one.")
            return
        possible = [row for row in rows if self._has_type(row, value)]
        if len(possible) == 1:
            yield from self.faults(possible[0], value, pointer)
        else:
            yield Fault(pointer, MISMATCH, f"It has none of the {len(rows)} forms that the schema allows.")

    def _has_type(self, row: int, value: Any) -> bool:
        body = self._engine.document.rows[row].body
        if isinstance(body, bool):
            return body
        return self._fits_rules(body, value, "type", "const") and all(
            self._has_type(other, value) for other in body.get("allOf", ())
        )

    def _members(self, body: Mapping[str, Any], value: dict[str, Any], pointer: str) -> Iterator[Fault]:
        properties, patterns = body.get("properties", {}), body.get("patternProperties", {})
        for name, member in value.items():
            place = _below(pointer, name)
            rows = [row for pattern, row in patterns.items() if self._fits_rules({"pattern": pattern}, name, "pattern")]
            rows += [properties[name]] if name in properties else []
            for row in rows:
                yield from self._unless_fit(row, member, place)
            if not rows and "additionalProperties" in body:
                yield from self._unless_fit(body["additionalProperties"], member, place, refusal=_UNKNOWN)
            if "propertyNames" in body and not self._fits(body["propertyNames"], name):
                yield Fault(place, "bad-format", "Its name is none that the schema allows.")
        if "unevaluatedProperties" in body and self._fails_by(body, value, "unevaluatedProperties"):
            yield Fault(pointer, "unknown-field", "It has a member that the schema does not know.")

    def _items(self, body: Mapping[str, Any], value: list[Any], pointer: str) -> Iterator[Fault]:
        prefix = body.get("prefixItems", [])
        for at, item in enumerate(value):
            row = prefix[at] if at < len(prefix) else body.get("items")
            if row is not None:
                yield from self._unless_fit(row, item, f"{pointer}/{at}")
        if not self._fits_rules(body, value, *_CONTAINS):
            yield Fault(pointer, MISMATCH, "It has too few or too many items of a kind that the schema counts.")
        if "unevaluatedItems" in body and self._fails_by(body, value, "unevaluatedItems"):
            yield Fault(pointer, MISMATCH, "It has an item that the schema does not know.")

    def _unless_fit(self, row: int, value: Any, pointer: str, *, refusal: Fault | None = None) -> Iterator[Fault]:
        if self._fits(row, value):
            return
        if refusal is not None and self._engine.document.rows[row].body is False:
            yield Fault(pointer, refusal.code, refusal.detail)
        else:
            yield from self.faults(row, value, pointer)

    def _fails_by(self, body: Mapping[str, Any], value: Any, keyword: str) -> bool:
        """Whether this keyword, which looks at all the others, is the one that refuses."""
        others = {name: rule for name, rule in body.items() if name != keyword}
        return self._engine.body_fits(others, value, meter=self._meter) and not self._engine.body_fits(
            body, value, meter=self._meter
        )


_UNKNOWN = Fault("", "unknown-field", "The schema has no such member.")


def _below(pointer: str, name: str) -> str:
    """The pointer of a member; a stranger's name is cut, lest the answer grow with it."""
    return f"{pointer}/{escape(name[:200])}"


def _show(rule: Any) -> str:
    """The rule as the schema writes it, cut."""
    text = json.dumps(rule, ensure_ascii=False) if not isinstance(rule, list) else ", ".join(map(_show, rule[:10]))
    return text if len(text) <= 200 else f"{text[:200]}…"


def _show_types(rule: str | list[str]) -> str:
    names = [rule] if isinstance(rule, str) else rule
    return " or ".join(_ARTICLES.get(name, f"a {name}") for name in names)
