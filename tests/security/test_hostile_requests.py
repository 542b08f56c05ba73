"""Requests that no operation reads: not JSON, of another type, too large, or by a method that there is not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from tests.api.keys import problem
from tests.factories import Tenant
from tests.security.hostile import call, nothing_was_made, operations

pytestmark = pytest.mark.django_db
DEEP = 10_000

MALFORMED: dict[str, bytes] = {
    "white space": b" \n\t",
    "half an object": b'{"type":',
    "two documents": b'{"type":"echo"} {}',
    "a trailing comma": b'{"type":"echo",}',
    "single quotes": b"{'type':'echo'}",
    "a byte order mark": b'\xef\xbb\xbf{"type":"echo"}',
    "utf-16": '{"type":"echo"}'.encode("utf-16"),
    "utf-32": '{"type":"echo"}'.encode("utf-32-le"),
    "invalid utf-8": b'{"type":"\xff\xfe"}',
    "overlong utf-8": b'{"type":"\xc0\xaf"}',
    "a surrogate in utf-8": b'{"type":"\xed\xa0\x80"}',
    "a raw NUL": b'{"type":"a\x00b"}',
    "a NUL before all": b'\x00{"type":"echo"}',
    "half of a surrogate pair": b'{"type":"\\ud800"}',
    "the other half": b'{"priority":0,"tags":{"a":"\\uDFFF"}}',
    "a member twice": b'{"priority":1,"priority":2}',
    "a member twice inside": b'{"tags":{"a":"1","a":"2"}}',
    "a member twice in disguise": b'{"priority":1,"\\u0070riority":2}',
    "not a number": b'{"priority":NaN}',
    "infinity": b'{"priority":-Infinity}',
    "a number beyond all doubles": b'{"priority":1e400}',
    "a number of 5,000 digits": b'{"priority":' + b"9" * 5000 + b"}",
    "a number of a million digits": b'{"priority":' + b"9" * 1_000_000 + b"}",
    "a fraction of a million digits": b'{"priority":0.' + b"9" * 1_000_000 + b"e999}",
    "arrays in arrays": b"[" * DEEP + b"]" * DEEP,
    "objects in objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "open arrays": b"[" * 1_000_000,
    "open objects": b'{"a":' * 200_000,
    "an open text": b'{"a":"' + b"\\" * 1_000_000,
    "deep in a payload": b'{"type":"echo","payload":' + b"[" * 200 + b"]" * 200 + b"}",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_refused_everywhere(api: Any, tenant: Tenant, values: dict[str, str], name: str) -> None:
    for operation in operations(with_body=True):
        answer = call(api, tenant, operation, operation.path(values), MALFORMED[name])
        most = operation.view.most_body_bytes
        # What may not be so long is not even read.
        is_too_long = most is not None and len(MALFORMED[name]) > most
        problem(answer, *((413, "payload-too-large") if is_too_long else (400, "malformed-json")))
    assert nothing_was_made()


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/xml", "multipart/form-data; boundary=a", "x" * 9000]
)
def test_a_body_of_another_type_is_a_415_everywhere(
    api: Any, tenant: Tenant, values: dict[str, str], media_type: str
) -> None:
    for operation in operations(with_body=True):
        answer = call(
            api, tenant, operation, operation.path(values), b'{"type":"echo"}', **{"Content-Type": media_type}
        )
        problem(answer, 415, "unsupported-media-type")
    assert nothing_was_made()


def test_a_body_over_the_limit_is_refused_everywhere(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    body = b'{"type":"echo","payload":"' + b"x" * (9 * 1024**2) + b'"}'
    for operation in operations(with_body=True):
        problem(call(api, tenant, operation, operation.path(values), body), 413, "payload-too-large")
    assert nothing_was_made()


def test_a_form_that_cannot_be_had_is_a_406_everywhere(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    for operation in operations(closed=True):
        answer = call(api, tenant, operation, operation.path(values), {"type": "echo"}, Accept="text/html")
        problem(answer, 406, "not-acceptable")
    assert nothing_was_made()


def test_other_methods_are_told_the_right_ones_everywhere(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    known: dict[str, set[str]] = {}
    for operation in operations():
        known.setdefault(operation.route, set()).add(operation.method)
        if operation.method == "GET":
            known[operation.route].add("HEAD")
    for operation in operations():
        allowed = known[operation.route]
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - allowed:
            answer = api.call(method, operation.path(values), b"", tenant.api_key, {})
            assert (answer.status_code, answer.headers["Allow"]) == (405, ", ".join(sorted(allowed))), method
            if method != "HEAD":
                problem(answer, 405, "method-not-allowed")


def test_head_is_get_without_a_body_everywhere(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    for operation in operations():
        if operation.method == "GET":
            whole = api.get(operation.path(values), key=tenant.api_key)
            head = api.call("HEAD", operation.path(values), b"", tenant.api_key, {})
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert head.headers["Content-Type"] == whole.headers["Content-Type"]


@pytest.mark.parametrize(
    ("body", "times"),
    [
        (b"[" * 1_000_000, 3),
        (b'{"priority":' + b"9" * 1_000_000 + b"}", 3),
        (b"\xff" * 1_000_000, 3),
        (b" " * 2_000_000, 3),
        (b'{"type":"echo","payload":"' + b"x" * 1_000_000 + b'"}', 12),
        (b'{"type":"echo","payload":[' + b'"ab",' * 200_000 + b"1]}", 30),
        (b'{"type":"echo","payload":[' + b"[]," * 300_000 + b"1]}", 45),
    ],
    ids=["open arrays", "digits", "no text", "over the limit", "a text", "short texts", "empty arrays"],
)
def test_memory_is_bounded_by_the_body(
    api: Any, tenant: Tenant, values: dict[str, str], body: bytes, times: int
) -> None:
    """What is refused costs at most three times its bytes. What is taken costs what Python's objects cost: an empty
    array is 3 bytes of JSON and 64 of memory.
    """
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        api.post("/v1/jobs", body, key=tenant.api_key)
        spent = tracemalloc.get_traced_memory()[1] - before - len(body)  # the test's client holds a copy of its own
    finally:
        tracemalloc.stop()
    assert spent < (times + 0.1) * len(body), f"{spent / len(body):.1f} times the body"
