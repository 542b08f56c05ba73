"""The price list of a payload schema: what each subschema costs, in steps and in seconds on an idle machine."""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from typing import Any

from jobservice.field_checks import compact_json
from jobservice.jobs.schema_document import PART_MANY, PART_ONE, Subschema
from jobservice.jobs.schema_meter import STEPS_PER_LOOK

# What nothing can interrupt is held against the time that is left before it starts. Seconds, measured: a character
# under the worst pattern, per compiled byte; a name under one pattern of `patternProperties`; a member under one
# subschema that `unevaluated…` looks through; a member for which a guard refuses in a loop that goes on; and a byte of
# the payload under the meta-schema.
_PER_PATTERN_BYTE = 5e-11
_PER_NAME = 2.5e-8
_PER_UNEVALUATED = 2e-8
_PER_REFUSAL = 1.5e-6
PER_META_BYTE = 7.5e-8
# The rest of the price list: a guard; a subschema of the same value; a rule of a subschema without a guard, and a name
# that is looked up; a value that is compared whole; a number that is divided; an item that must be unique when all are
# scalars, else a byte of all that is in them.
_PER_GUARD = 8e-7
_PER_BRANCH = 2e-7
PER_RULE = 2.5e-8
_PER_COMPARED = 5e-7
_PER_DIVISION = 2e-6
_PER_UNIQUE = 8e-8
_PER_UNIQUE_BYTE = 2.5e-8
CONTAINERS = (dict, list)

# A subschema of nothing but these is answered in nanoseconds and needs no guard.
_CHEAP = frozenset(
    {"type", "const", "enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength"}
    | {"minItems", "maxItems", "minProperties", "maxProperties", "required", "properties"}
)
_MAX_CHEAP_LENGTH = 16
# Nor does one with a few members of such a kind, and at most so many rules in all.
_MAX_CHEAP_RULES = 32
_SMALLEST_FACTOR = 1e-9
# Seconds; a number, because the validator's keywords know no infinity.
_NO_PRICE = 1e9
_SCALARS = (str, int, float, bool, type(None))
# A look at the clock after each of these, for one alone may take a millisecond; and after these when they are long.
_HEAVY = frozenset({"patternProperties", "uniqueItems", "unevaluatedItems", "unevaluatedProperties", "$ref"})
_HEAVY_WHEN_LONG = frozenset({"enum", "const", "required", "dependentRequired", "dependentSchemas", "properties"})
# Loops over the members that go on when a guard refuses.
LOOPS_ON = frozenset({"contains", "unevaluatedItems", "unevaluatedProperties"})

Body = Mapping[str, Any] | bool


def price_of_unique(items: list[Any]) -> float:
    """To compare members whole takes as long as all that is in them is large."""
    is_flat = not any(issubclass(kind, CONTAINERS) for kind in set(map(type, items)))
    return len(items) * _PER_UNIQUE if is_flat else len(marshal.dumps(items)) * _PER_UNIQUE_BYTE


def limits_of(row: Subschema, body: Mapping[str, Any], loops: Mapping[str, bool]) -> list[float]:
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
        return STEPS_PER_LOOK
    # Branches that are cheap come without a guard, too; a number is divided at its own pace.
    return min(row.in_place + (4 if "multipleOf" in body else 0), STEPS_PER_LOOK)


def prices_of(row: Subschema, body: Mapping[str, Any], sizes: CheapSizes) -> list[float]:
    """For the price list: of one value, the rules per member without a guard, then whether it has numbers to divide,
    items that must be unique, and the meta-schema."""
    price = _PER_GUARD + _PER_BRANCH * (row.in_place - 1)
    names = sum(len(body.get(keyword, ())) for keyword in ("required", "properties", "dependentSchemas"))
    names += sum(1 + len(others) for others in body.get("dependentRequired", {}).values())
    price += PER_RULE * names
    if "enum" in body and not all(isinstance(option, _SCALARS) for option in body["enum"]):
        price += _PER_COMPARED * len(body["enum"])
    if isinstance(body.get("const"), CONTAINERS):
        price += PER_RULE * len(compact_json(body["const"]))
    factor = body.get("multipleOf")
    if factor is not None:
        # One next to nothing takes longer the smaller it is.
        price += _PER_DIVISION if factor > _SMALLEST_FACTOR else _NO_PRICE
    parts = [body[keyword] for keyword in PART_ONE & body.keys()]
    parts += [part for keyword in PART_MANY & body.keys() for part in body[keyword]]
    rules = max((size for part in parts if (size := sizes.of(part)) is not None), default=1)
    is_of_unique = body.get("uniqueItems") is True
    return [price, float(rules), float(factor is not None), float(is_of_unique), float("$ref" in body)]


class CheapSizes:
    """Which rows are so cheap that they need no guard, and how many rules each of these has."""

    def __init__(self, rows: Sequence[Subschema]) -> None:
        self._rows = rows
        self._known: dict[int, int | None] = {}

    def of(self, row: int) -> int | None:
        """The number of rules; None when the row needs a guard."""
        if row not in self._known:
            # Until it is known, so that one that comes back to itself needs a guard.
            self._known[row] = None
            self._known[row] = self._count(self._rows[row].body)
        return self._known[row]

    def _count(self, body: Body) -> int | None:
        if isinstance(body, bool):
            return 1
        if not body.keys() <= _CHEAP or not all(_is_cheap_rule(keyword, rule) for keyword, rule in body.items()):
            return None
        members = [self.of(row) for row in body.get("properties", {}).values()]
        rules = max(1, len(body.keys() - {"properties"})) + sum(1 + (size or 0) for size in members)
        return None if None in members or rules > _MAX_CHEAP_RULES else rules


def _is_cheap_rule(keyword: str, rule: Any) -> bool:
    return isinstance(rule, _SCALARS) if keyword == "const" else _is_small(rule)


def _is_small(rule: Any) -> bool:
    if isinstance(rule, dict):
        return len(rule) <= _MAX_CHEAP_LENGTH
    if isinstance(rule, list):
        return len(rule) <= _MAX_CHEAP_LENGTH and all(isinstance(part, _SCALARS) for part in rule)
    return True
