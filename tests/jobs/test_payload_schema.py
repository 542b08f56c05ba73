"""Payload schemas: what may be one, and what a payload is told. What they cost is in `test_schema_costs.py`."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from jobservice.jobs.schema_compiling import compile_schema
from jobservice.jobs.schema_document import SCHEMA_URI
from jobservice.jobs.schema_faults import MAX_FAULTS
from tests.jobs.schema_checks import chain, check, refused, told

pytestmark = pytest.mark.usefixtures("own_schemas")

PERSON = {
    "$schema": SCHEMA_URI,
    "$id": "https://example.com/person.json",
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "kind": {"enum": ["a", "b"]},
        "friends": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2, "uniqueItems": True},
        "home": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/home"}]},
    },
    "additionalProperties": False,
    "$defs": {"home": {"$anchor": "home", "type": "object", "required": ["street"]}},
}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"name": "Ann", "age": 3, "friends": [{"name": "Bo"}], "home": None}, set()),
        (None, {("/payload", "wrong-type")}),
        ({}, {("/payload/name", "required")}),
        ({"name": ""}, {("/payload/name", "too-short"), ("/payload/name", "bad-format")}),
        ({"name": "Annabel"}, {("/payload/name", "too-long")}),
        ({"name": "Ann", "age": -1}, {("/payload/age", "out-of-range")}),
        ({"name": "Ann", "age": 150}, {("/payload/age", "out-of-range")}),
        ({"name": "Ann", "age": 1.5}, {("/payload/age", "wrong-type")}),
        ({"name": "Ann", "kind": "c"}, {("/payload/kind", "out-of-range")}),
        ({"name": "Ann", "a/b~": 1}, {("/payload/a~1b~0", "unknown-field")}),
        ({"name": "Ann", "home": {}}, {("/payload/home/street", "required")}),
        ({"name": "Ann", "friends": [{"name": "Bo"}] * 2}, {("/payload/friends", "not-unique")}),
        (
            {"name": 1, "friends": [{"name": "Bo", "age": "x"}, {"name": "Cy", "friends": [{}]}]},
            {
                ("/payload/name", "wrong-type"),
                ("/payload/friends/0/age", "wrong-type"),
                ("/payload/friends/1/friends/0/name", "required"),
            },
        ),
    ],
)
def test_each_broken_rule_is_told_with_its_place(payload: Any, expected: set[tuple[str, str]]) -> None:
    assert told(PERSON, payload) == expected


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        (False, 1, ("/payload", "schema-mismatch")),
        ({"const": 1}, 2, ("/payload", "out-of-range")),
        ({"multipleOf": 3}, 4, ("/payload", "out-of-range")),
        ({"not": {"type": "null"}}, None, ("/payload", "schema-mismatch")),
        ({"oneOf": [True, True]}, 1, ("/payload", "schema-mismatch")),
        ({"anyOf": [{"minimum": 2}, {"minimum": 3}]}, 1, ("/payload", "schema-mismatch")),
        ({"contains": {"type": "string"}, "minContains": 2}, ["a"], ("/payload", "schema-mismatch")),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, "a", ("/payload", "too-short")),
        ({"if": {"type": "string"}, "else": {"minimum": 2}}, 1, ("/payload", "out-of-range")),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, ("/payload/b", "required")),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, ("/payload/b", "required")),
        ({"patternProperties": {"^x": {"type": "null"}}}, {"xy": 1}, ("/payload/xy", "wrong-type")),
        ({"additionalProperties": {"type": "null"}}, {"a": 1}, ("/payload/a", "wrong-type")),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, ("/payload/ab", "bad-format")),
        ({"prefixItems": [True], "items": False}, [1, 2], ("/payload/1", "schema-mismatch")),
        ({"minProperties": 1}, {}, ("/payload", "too-short")),
        ({"maxProperties": 0}, {"a": 1}, ("/payload", "too-long")),
        ({"allOf": [True], "unevaluatedProperties": False}, {"b": 1}, ("/payload", "unknown-field")),
        ({"unevaluatedItems": False}, [1], ("/payload", "schema-mismatch")),
        ({"$ref": SCHEMA_URI}, {"type": "strin"}, ("/payload", "schema-mismatch")),
        ({"$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n", "type": "null"}}}, 1, ("/payload", "wrong-type")),
    ],
)  # fmt: skip
def test_every_keyword_has_its_code(schema: Any, payload: Any, expected: tuple[str, str]) -> None:
    assert told(schema, payload) == {expected}


def test_what_only_describes_refuses_nothing() -> None:
    schema = {"format": "email", "contentMediaType": "application/json", "examples": [1], "x-own": {"$ref": "http://x"}}
    assert check(schema, "no address") == []


def test_a_fault_names_the_rule_and_not_the_value() -> None:
    canary = "canary-1234"
    faults = check({"properties": {"a": {"maxLength": 3, "pattern": "^x", "enum": ["x"]}}}, {"a": canary})
    assert len(faults) == 3
    assert not any(canary in fault.detail for fault in faults)


def test_faults_have_an_end_and_so_have_their_names() -> None:
    assert len(check({"items": {"type": "null"}}, [1] * 500)) == MAX_FAULTS
    assert len(check({"required": [f"n{at}" for at in range(500)]}, {})) == MAX_FAULTS
    (fault,) = check({"additionalProperties": False}, {"n" * 100_000: 1})
    assert len(fault.pointer) < 300


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ([], ("", "wrong-type")),
        ("{}", ("", "wrong-type")),
        ({"type": "strin"}, ("/type", "bad-format")),
        ({"properties": {"a/b": {"minLength": -1}}}, ("/properties/a~1b/minLength", "bad-format")),
        ({"items": [{}]}, ("/items", "bad-format")),
        ({"enum": ["a" * 65536]}, ("", "too-long")),
        ({"properties": {f"a{at}": {} for at in range(3000)}}, ("/properties/a2999", "too-long")),
        ({"const": "a\0"}, ("", "bad-format")),
        ({"const": float("nan")}, ("", "bad-format")),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ("/$schema", "not-supported")),
        ({"$defs": {"a": {"$schema": "http://127.0.0.1/"}}}, ("/$defs/a/$schema", "not-supported")),
        ({"$ref": "file:///etc/passwd"}, ("/$ref", "not-supported")),
        ({"$ref": "http://127.0.0.1:9/x.json#/a"}, ("/$ref", "not-supported")),
        ({"$ref": "other.json"}, ("/$ref", "not-supported")),
        ({"$ref": "//host/x"}, ("/$ref", "not-supported")),
        ({"items": {"$dynamicRef": "https://example.com/x"}}, ("/items/$dynamicRef", "not-supported")),
        ({"$id": "http://127.0.0.1/", "$ref": "x#/$defs/a", "$defs": {"a": {}}}, ("/$ref", "not-supported")),
        ({"$ref": "#/nowhere"}, ("/$ref", "bad-format")),
        ({"$ref": "#nobody"}, ("/$ref", "bad-format")),
        ({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}, ("/$defs/b/$anchor", "bad-format")),
        ({"$ref": "#"}, ("", "bad-format")),
        (chain(lambda step: {"allOf": [step]}, 2, {"not": {"$ref": "#/$defs/a0"}}), ("", "bad-format")),
        ({"pattern": "(?=a)"}, ("/pattern", "bad-format")),
        ({"pattern": r"(a)\1"}, ("/pattern", "bad-format")),
        ({"pattern": "("}, ("/pattern", "bad-format")),
        ({"pattern": "((a{100}){100}){100}"}, ("/pattern", "bad-format")),
        ({"pattern": "a" * 1001}, ("/pattern", "bad-format")),
        ({"patternProperties": {"a/(": True}}, ("/patternProperties/a~1(", "bad-format")),
    ],
)
def test_what_may_not_be_a_schema_is_told_with_its_place(schema: Any, expected: tuple[str, str]) -> None:
    pointer, code = refused(schema)
    assert code == expected[1]
    # Where a cycle is cut depends on where one enters it.
    assert pointer == expected[0] or pointer.startswith("/$defs/a")


def test_a_schema_opens_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        for keyword in ("$schema", "$ref", "$dynamicRef"):
            refused({keyword: address})
            refused({"$id": address, "items": {keyword: "x.json"}})
        compile_schema({"$id": address, "$vocabulary": {address: True}, "x": {"$ref": address}, "default": address})
        with pytest.raises(TimeoutError):
            server.accept()


def test_embedded_resources_have_pointers_and_anchors_of_their_own() -> None:
    inner = {"$id": "inner.json", "$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "here", "type": "null"}}}
    schema = {"$id": "https://example.com/", "items": {"$ref": "#/$defs/in"}, "$defs": {"in": inner, "a": False}}
    assert told(schema, [None, 1]) == {("/payload/1", "wrong-type")}
    assert refused({"$ref": "#here", "$defs": {"in": inner}}) == ("/$ref", "bad-format")


def test_two_dynamic_anchors_of_one_name_are_not_supported() -> None:
    anchors = {name: {"$id": name, "$dynamicAnchor": "n"} for name in ("a", "b")}
    schema = {"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "$defs": anchors}
    assert refused(schema) == ("/items/$dynamicRef", "not-supported")
