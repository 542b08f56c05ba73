"""A payload schema (JSON Schema 2020-12) as a flat table of subschemas, read from what a stranger wrote.

Only keywords that can refuse a value are kept, every reference is resolved to a row of the table, and what the
standard leaves open is closed here: references stay in the document, and the number of subschemas that one value meets
is bounded, as is the size of a pattern. `format`, `contentSchema` and the like are annotations, as 2020-12 has them.
Nothing here judges a payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from jobservice.errors import Fault
from jobservice.jobs.pattern_sizes import PatternSizes

SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"
MAX_SUBSCHEMAS = 3_000
# One value may meet this many subschemas, through references and combinations of them (not counting its members).
MAX_IN_PLACE = 500
# And this many inside one another: the validator's recursion, and so the thread's stack, grows with it.
MAX_NESTING = 64

# Where subschemas are: below a keyword alone, in its array, or in its object; of the same value, or of a part of it.
SAME_ONE = frozenset({"not", "if", "then", "else"})
SAME_MANY = frozenset({"allOf", "anyOf", "oneOf"})
SAME_BY_NAME = frozenset({"dependentSchemas"})
PART_ONE = frozenset(
    {"items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)
PART_MANY = frozenset({"prefixItems"})
PART_BY_NAME = frozenset({"properties", "patternProperties"})
ONE, MANY, BY_NAME = SAME_ONE | PART_ONE, SAME_MANY | PART_MANY, SAME_BY_NAME | PART_BY_NAME
ASSERTIONS = frozenset(
    {"type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength"}
    | {"minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties"}
    | {"minProperties", "required", "dependentRequired"}
)
# Subschemas that judge nothing where they stand, but may be referred to.
_ASIDE_ONE = frozenset({"contentSchema"})
_ASIDE_BY_NAME = frozenset({"$defs", "definitions"})


@dataclass(frozen=True, slots=True)
class Subschema:
    """One row: `body` has row numbers where subschemas stood. Sizes are of compiled patterns, in bytes.

    `in_place` is how many subschemas a value meets here, this one included.
    """

    body: Mapping[str, Any] | bool
    in_place: int = 1
    pattern_bytes: int = 0
    name_pattern_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SchemaDocument:
    """The table; its first row is the whole schema."""

    rows: tuple[Subschema, ...]
    pattern_bytes: int

    @property
    def has_unique_items(self) -> bool:
        """Whether some array's items must differ."""
        return any(not isinstance(row.body, bool) and row.body.get("uniqueItems") is True for row in self.rows)


class SchemaRefused(Exception):
    """The document may not be used: one fault, its pointer relative to the document."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(pointer, code, detail)


def read_document(raw: Mapping[str, Any] | bool) -> SchemaDocument:
    """The table of a document that its meta-schema accepts. Raises `SchemaRefused`."""
    reader = _Reader()
    reader.visit(raw, pointer="", resource="")
    reader.resolve_references()
    sizes = PatternSizes()
    rows = tuple(_row(reader, index, sizes) for index in range(len(reader.bodies)))
    return SchemaDocument(rows, sizes.total)


def escape(name: str) -> str:
    """A member's name as a part of an RFC 6901 pointer."""
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class _Reference:
    body: dict[str, Any]
    pointer: str
    resource: str
    keyword: str
    target: str


class _Reader:
    """Collects the rows, then ties the references. A resource is the part of a document under one `$id`."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any] | bool] = []
        self.pointers: list[str] = []
        self._at: dict[str, int] = {}
        self._anchors: dict[tuple[str, str], int] = {}
        self._dynamic: dict[str, list[int]] = {}
        self._references: list[_Reference] = []
        self._in_place: dict[int, tuple[int, int]] = {}

    def visit(self, raw: Mapping[str, Any] | bool, *, pointer: str, resource: str) -> int:
        """Add the subschema and all below it; its row."""
        row = len(self.bodies)
        if row >= MAX_SUBSCHEMAS:
            raise SchemaRefused(pointer, "too-long", f"A schema may have at most {MAX_SUBSCHEMAS} subschemas.")
        self._at[pointer] = row
        self.pointers.append(pointer)
        if isinstance(raw, bool):
            self.bodies.append(raw)
            return row
        body: dict[str, Any] = {}
        self.bodies.append(body)
        if "$id" in raw:
            resource = pointer
        self._note_identity(raw, row, pointer, resource)
        self._references += [
            _Reference(body, pointer, resource, keyword, raw[keyword])
            for keyword in ("$ref", "$dynamicRef")
            if keyword in raw
        ]
        for keyword, value in raw.items():
            if keyword in ASSERTIONS:
                body[keyword] = value
            else:
                self._visit_below(body, keyword, value, pointer=f"{pointer}/{escape(keyword)}", resource=resource)
        return row

    def resolve_references(self) -> None:
        """Every reference becomes one more branch of its subschema's `allOf`, which means the same."""
        for reference in self._references:
            body = reference.body
            if reference.target.removesuffix("#") == SCHEMA_URI:
                body["$ref"] = SCHEMA_URI
            else:
                body["allOf"] = [*body.get("allOf", []), self._find(reference)]

    def in_place(self, row: int, *, depth: int = 1) -> tuple[int, int]:
        """How many subschemas a value meets in this row, and how many inside one another. Raises `SchemaRefused`."""
        if depth > MAX_NESTING:
            raise self._too_nested(row)
        if row not in self._in_place:
            self._in_place[row] = (0, 0)
            below = [self.in_place(other, depth=depth + 1) for other in self._same_value(row)]
            self._in_place[row] = (1 + sum(n for n, _ in below), 1 + max((n for _, n in below), default=0))
        count, nesting = self._in_place[row]
        if count == 0:
            raise SchemaRefused(self.pointers[row], "bad-format", "It refers to itself without an end.")
        if nesting > MAX_NESTING:
            raise self._too_nested(row)
        if count > MAX_IN_PLACE:
            detail = f"With what it refers to, one value would meet more than {MAX_IN_PLACE} subschemas here."
            raise SchemaRefused(self.pointers[row], "too-complex", detail)
        return count, nesting

    def _visit_below(self, body: dict[str, Any], keyword: str, value: Any, *, pointer: str, resource: str) -> None:
        if keyword in ONE or keyword in _ASIDE_ONE:
            found: Any = self.visit(value, pointer=pointer, resource=resource)
        elif keyword in MANY:
            found = [self.visit(raw, pointer=f"{pointer}/{at}", resource=resource) for at, raw in enumerate(value)]
        elif keyword in BY_NAME or keyword in _ASIDE_BY_NAME:
            found = {
                name: self.visit(raw, pointer=f"{pointer}/{escape(name)}", resource=resource)
                for name, raw in value.items()
            }
        else:
            return
        if keyword in ONE or keyword in MANY or keyword in BY_NAME:
            body[keyword] = found

    def _note_identity(self, raw: Mapping[str, Any], row: int, pointer: str, resource: str) -> None:
        if raw.get("$schema", SCHEMA_URI).removesuffix("#") != SCHEMA_URI:
            raise SchemaRefused(f"{pointer}/$schema", "not-supported", f"The only dialect is {SCHEMA_URI}.")
        for keyword in ("$anchor", "$dynamicAnchor"):
            if keyword in raw and self._anchors.setdefault((resource, raw[keyword]), row) != row:
                raise SchemaRefused(f"{pointer}/{keyword}", "bad-format", "Another subschema has this anchor.")
        if "$dynamicAnchor" in raw:
            self._dynamic.setdefault(raw["$dynamicAnchor"], []).append(row)

    def _find(self, reference: _Reference) -> int:
        place = f"{reference.pointer}/{reference.keyword}"
        if not reference.target.startswith("#"):
            detail = f"A reference must stay in the document: # and a pointer or an anchor, or {SCHEMA_URI}."
            raise SchemaRefused(place, "not-supported", detail)
        fragment = unquote(reference.target[1:])
        if fragment.startswith("/") or not fragment:
            row = self._at.get(reference.resource + fragment)
        else:
            row = self._anchors.get((reference.resource, fragment))
        if row is None:
            raise SchemaRefused(place, "bad-format", "There is no subschema at the place it refers to.")
        if reference.keyword == "$dynamicRef" and len(self._dynamic.get(fragment, [])) > 1:
            raise SchemaRefused(place, "not-supported", "Only one subschema may have the $dynamicAnchor it refers to.")
        return row

    def _same_value(self, row: int) -> Iterator[int]:
        body = self.bodies[row]
        if isinstance(body, bool):
            return
        for keyword, value in body.items():
            if keyword in SAME_ONE:
                yield value
            elif keyword in SAME_MANY:
                yield from value
            elif keyword in SAME_BY_NAME:
                yield from value.values()

    def _too_nested(self, row: int) -> SchemaRefused:
        detail = f"Through references and combinations, more than {MAX_NESTING} subschemas of one value are nested."
        return SchemaRefused(self.pointers[row], "too-complex", detail)


def _row(reader: _Reader, index: int, sizes: PatternSizes) -> Subschema:
    body, pointer = reader.bodies[index], reader.pointers[index]
    if isinstance(body, bool):
        return Subschema(body)
    pattern_bytes = 0
    if "pattern" in body:
        pattern_bytes = _size(sizes, body["pattern"], f"{pointer}/pattern")
    names = body.get("patternProperties", {})
    name_pattern_bytes = sum(_size(sizes, name, f"{pointer}/patternProperties/{escape(name)}") for name in names)
    in_place, _ = reader.in_place(index)
    return Subschema(body, in_place, pattern_bytes, name_pattern_bytes)


def _size(sizes: PatternSizes, pattern: str, pointer: str) -> int:
    try:
        return sizes.measure(pattern)
    except ValueError as error:
        raise SchemaRefused(pointer, "bad-format", str(error)) from None
