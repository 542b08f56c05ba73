"""Payload schemas: what may be one, what a payload is told, and what the worst of both cost.

Measured on two shared cores, in processor time. The largest schemas that may be stored take up to 50 ms to check and
compile, and hostile ones are refused within 10 ms. A check ends within 30 ms and another 8 ms per MiB of payload; what
cannot be interrupted comes on top: 20 ms for an array of 500,000 numbers under 450 branches, the worst that was found.
Without the meter the same corpus takes from 0.3 s (nested `uniqueItems`) over 90 s (`enum` of objects) to hours
(fan-outs). An ordinary 1 MiB payload takes 2 to 25 ms, an ordinary 1 KiB payload 0.05 ms.
"""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobservice.errors import Fault, Invalid
from jobservice.jobs import payload_schema
from jobservice.jobs.payload_schema import CheckTime, HandlerSchema, check_payload, keep_handler_schema
from jobservice.jobs.schema_compiling import compile_schema
from jobservice.jobs.schema_document import SCHEMA_URI, SchemaRefused
from jobservice.jobs.schema_faults import MAX_FAULTS

# Far above what is measured, because a machine may be slow; far below what the corpus takes without bounds.
LONGEST_SECONDS = 1.0
BIG = int("9" * 4300)


class _Type:
    schemas = (HandlerSchema("of-a-test"),)


@pytest.fixture(autouse=True)
def _own_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_schema, "_of_handlers", {})


def check(schema: Any, payload: Any) -> list[Fault]:
    """The faults of the payload, none when it fits."""
    keep_handler_schema("of-a-test", compile_schema(schema))
    refusal = check_payload(_Type(), json.dumps(payload).encode(), time=CheckTime())
    if refusal is None:
        return []
    assert isinstance(refusal, Invalid)
    return refusal.faults


def told(schema: Any, payload: Any) -> set[tuple[str, str]]:
    """Pointer and code of each fault."""
    return {(fault.pointer, fault.code) for fault in check(schema, payload)}


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage of the whole test run, which is collected at any moment, out of what is measured."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def refused(schema: Any) -> tuple[str, str]:
    """Pointer and code of why the schema may not be one."""
    with pytest.raises(SchemaRefused) as caught:
        compile_schema(schema)
    assert caught.value.fault.detail
    return caught.value.fault.pointer, caught.value.fault.code


def chain(wrap: Any, length: int, last: Any = True) -> dict[str, Any]:
    """Definitions of which each refers to the next, through `wrap`."""
    steps = {f"a{at}": wrap({"$ref": f"#/$defs/a{at + 1}"}) for at in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": {**steps, f"a{length}": last}}


def nested(depth: int, *, width: int = 0) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value, *range(width)]
    return value


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


FAN = chain(lambda step: {"allOf": [step, step]}, 20)
BAD_SCHEMAS = {
    "doubling references": FAN,
    "doubling under unevaluated": chain(lambda step: {"allOf": [step, step], "unevaluatedProperties": False}, 9),
    "if and then alike": chain(lambda step: {"if": step, "then": step}, 20),
    "a long chain": chain(lambda step: step, 2000),
    "a long chain that overran the stack": chain(lambda step: {"allOf": [step], "unevaluatedItems": False}, 600),
    "600 branches": {"anyOf": [{"const": at} for at in range(600)]},
    "many subschemas": {"properties": {f"a{at}": {} for at in range(5900)}},
    "many faults": {"properties": {f"a{at}": 1 for at in range(6000)}},
    "large patterns": {"prefixItems": [{"pattern": f"^[^{at % 10}]{{1,{200 + at}}}$"} for at in range(50)]},
    "a pattern out of bounds": {"pattern": r"\p{L}{1000}"},
}


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_a_hostile_schema_is_refused_at_once(name: str) -> None:
    with no_collection():
        began = time.thread_time()
        refused(BAD_SCHEMAS[name])
        assert time.thread_time() - began < LONGEST_SECONDS / 4


LARGE_SCHEMAS = {
    "properties": {"properties": {f"a{at}": {"type": "string", "pattern": "x"} for at in range(1300)}},
    "empty ones": {"properties": {f"a{at}": {} for at in range(2900)}},
    "unused definitions": {"$defs": {f"d{at}": {"not": {"multipleOf": 3}} for at in range(1400)}},
    "unevaluated": {"anyOf": [{"properties": {f"a{at}": True}} for at in range(245)], "unevaluatedProperties": False},
    "a deep chain": chain(lambda step: {"items": step, "unevaluatedItems": False}, 700),
    "enum": {"enum": [f"o{at}" for at in range(7000)]},
}


@pytest.mark.parametrize("name", LARGE_SCHEMAS)
def test_the_largest_schemas_are_read_in_time(name: str) -> None:
    with no_collection():
        began = time.thread_time()
        compile_schema(LARGE_SCHEMAS[name])
        assert time.thread_time() - began < LONGEST_SECONDS


ONES = [1] * 524_000
LETTERS = "ab" * 512_000
EVIL_PATTERN = "(a|b)*a(a|b){60}c"
HOSTILE = {
    "fan-out down an array": (chain(lambda step: {"allOf": [{"items": step}] * 3}, 40), nested(97)),
    "fan-out of what fails": (chain(lambda step: {"anyOf": [{"items": step}] * 3}, 40, False), nested(97)),
    "fan-out of unevaluated": (
        chain(lambda step: {"unevaluatedItems": step, "allOf": [{"unevaluatedItems": step}] * 2}, 30),
        nested(97),
    ),
    "450 branches over an array": ({"allOf": [{"items": {"type": "integer"}}] * 450}, ONES),
    "450 branches for each item": ({"items": {"anyOf": [*[{"const": at} for at in range(2, 450)], True]}}, ONES),
    "contains goes on": ({"contains": {"pattern": "x", "not": {}}, "minContains": 600_000}, ONES),
    "a pattern of many states": ({"pattern": EVIL_PATTERN}, LETTERS),
    "and over many texts": ({"items": {"pattern": EVIL_PATTERN}}, [LETTERS[:30_000] + "a"] * 34),
    "many patterns of names": (
        {"patternProperties": {f"k{at}": True for at in range(200)}},
        {f"x{at}": 1 for at in range(90_000)},
    ),
    "many names for unevaluated": (
        {"anyOf": [{"properties": {f"a{at}": True}} for at in range(240)], "unevaluatedProperties": {"type": "null"}},
        {f"x{at}": 1 for at in range(90_000)},
    ),
    "unique all the way down": ({"uniqueItems": True, "items": {"$ref": "#"}}, nested(90, width=2000)),
    "enum of objects": ({"items": {"enum": [{"a": at} for at in range(6000)]}}, [{"a": 5999}] * 90_000),
    "many required": ({"items": {"dependentRequired": {f"k{at}": ["a"] for at in range(4000)}}}, [{}] * 300_000),
    "multiples of next to nothing": ({"items": {"multipleOf": 5e-324}}, ONES),
    "multiples of long numbers": ({"items": {"multipleOf": 0.01}}, [BIG] * 240),
    "a megabyte as a schema": ({"$ref": SCHEMA_URI}, {"allOf": [{}] * 340_000, "type": 1}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_and_payload_are_refused_in_time(name: str) -> None:
    schema, payload = HOSTILE[name]
    keep_handler_schema("of-a-test", compile_schema(schema))
    content = json.dumps(payload, separators=(",", ":")).encode()
    assert len(content) < 1.2 * 1024**2
    with no_collection():
        began = time.thread_time()
        refusal = check_payload(_Type(), content, time=CheckTime())
        assert time.thread_time() - began < LONGEST_SECONDS
    assert isinstance(refusal, Invalid)
    assert refusal.faults[0].code in ("too-complex", "schema-mismatch", "bad-format")


def test_a_recursive_schema_with_like_branches_is_no_fan_out() -> None:
    branch = {"items": {"$ref": "#"}, "minItems": 2}
    assert told({"anyOf": [branch, branch]}, nested(90, width=1)) == {("/payload", "schema-mismatch")}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"items": {"type": "integer"}}, ONES),
        ({"items": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}}, [{"a": 1}] * 60_000),
        ({"items": {"pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"}}, ["somebody@example.com"] * 20_000),
        ({"pattern": "^[A-Za-z0-9+/=]*$"}, LETTERS),
        ({"uniqueItems": True}, list(range(100_000))),
    ],
)
def test_an_ordinary_large_payload_passes(schema: Any, payload: Any) -> None:
    assert check(schema, payload) == []


def test_long_integers_are_refused_where_items_must_be_unique() -> None:
    schema = {"properties": {"ids": {"uniqueItems": True}}}
    assert check(schema, {"ids": [2**63 - 1, -(2**63), "9" * 30]}) == []
    assert told(schema, {"ids": [2**63]}) == {("/payload", "out-of-range")}
    assert told(schema, {"ids": [BIG]}) == {("/payload", "out-of-range")}
    assert check({"items": {"type": "integer"}}, [2**63, BIG]) == []


def test_a_costly_job_of_a_group_leaves_the_others_their_time() -> None:
    keep_handler_schema("of-a-test", compile_schema({"allOf": [{"items": {"type": "integer"}}] * 150}))
    shared = CheckTime()
    costly, cheap = json.dumps(ONES).encode(), b"[1, 2, 3]"
    assert check_payload(_Type(), costly, time=shared) is not None
    assert check_payload(_Type(), cheap, time=shared) is None


def test_threads_share_a_schema_and_no_meter() -> None:
    schema, payload = HOSTILE["fan-out down an array"]
    keep_handler_schema("of-a-test", compile_schema(schema))
    answers: list[Any] = []

    def run(content: bytes) -> None:
        answers.append((content, check_payload(_Type(), content, time=CheckTime())))

    contents = [json.dumps(payload).encode(), b"[1]"] * 4
    threads = [threading.Thread(target=run, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all((answer is None) == (content == b"[1]") for content, answer in answers)
