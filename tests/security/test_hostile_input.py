"""Every operation against input made to break it: each is refused, quickly, and with nothing of it told or done.

A hostile value may be refused with any 4xx that fits; what no operation may do is fail (5xx), take it (2xx where it
cannot mean anything), or work on it for long.
"""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.problems import PROBLEM_TYPES
from jobservice import ids
from jobservice.jobs.models import Job, JobType
from tenants.api_keys import create_api_key
from tenants.context import tenant_tx
from tests.api.keys import faults, problem
from tests.factories import Tenant, make_job
from tests.security.operations import Operation, all_operations

pytestmark = pytest.mark.django_db

CPU_SECONDS = 0.25
DEEP = 10_000
NASTY_TEXTS = [
    "",
    "\x00",
    "a\x00b",
    "\x7f\x1b[31m",
    "\u202e",
    "ÿ",
    "٣",
    "' OR 1=1 --",
    "%s%(x)s{0}",
    "../../etc/passwd",
    "1e400",
    "9" * 5000,
    "-1",
    "NaN",
    "null",
    "[]",
    "a" * 8000,
    "😀" * 500,
]
NASTY_VALUES: list[Any] = [
    *NASTY_TEXTS,
    True,
    -1,
    0.5,
    1e308,
    10**4000,
    -(10**4000),
    [],
    {},
    [[]] * 50,
    {"": ""},
    {"\x00": "\x00"},
    {"a" * 300: [None]},
    {"$ref": "file:///etc/passwd"},
    ["a", 1, None, {}],
]
# Each of these alone; the others with all fields at once.
WORST_VALUES: list[Any] = ["a\x00b", 10**4000, [[]] * 50, {"\x00": "\x00"}]
# The names of all fields and parameters of the API, tried everywhere.
FIELDS = (
    "type payload queue priority run_at delay_seconds timeout_seconds max_attempts retry tags callback_url metadata "
    "executor http handler defaults payload_schema on_crash mode jobs name scopes queues cidrs expires_at "
    "overlap_seconds unique concurrency_key"
)
# Bodies that pass, for the hostile value to be all that is wrong: where it stands, and with which fields.
JOB = {"type": "echo"}
JOB_FIELDS = (
    "type payload queue priority run_at delay_seconds timeout_seconds max_attempts callback_url metadata tags tags/a "
    "retry retry/strategy retry/initial_seconds retry/factor retry/jitter retry/max_age_seconds retry/schedule_seconds"
)
HTTP_TYPE = {"executor": "http", "http": {"url": "http://127.0.0.1:9/"}}
HTTP_TYPE_FIELDS = (
    "executor http http/url http/headers http/headers/X-A handler defaults defaults/queue defaults/priority "
    "defaults/retry payload_schema on_crash"
)
CHANGE_FIELDS = "priority run_at delay_seconds tags tags/a max_attempts"
PARAMETERS = "limit cursor state queue type tag priority created_after created_before include canary"
HEADERS = ["Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "traceparent", "X-Forwarded-For", "X-Request-Id"]
# These end a request before the others are looked at.
DECISIVE_HEADERS = ["Accept", "Authorization", "Content-Encoding", "Content-Type", "Host", "Idempotency-Key"]

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


@pytest.fixture
def values(api: Any, tenant: Tenant) -> dict[str, str]:
    """A value for each path parameter, of an object that exists. What a process loads once is loaded then."""
    api.post("/v1/jobs", {}, key=tenant.api_key)
    with tenant_tx(tenant.id):
        key_id, _ = create_api_key(tenant.id, name="spare", scopes=["jobs:read"])
    return {
        "job_id": make_job(tenant)["id"],
        "name": "mine",
        "code": "internal",
        "key_id": ids.show_id(ids.API_KEY, key_id),
    }


def operations(*, with_body: bool = False, closed: bool = False) -> list[Operation]:
    found = [one for one in all_operations() if (one.has_body or not with_body) and not (closed and one.is_public)]
    assert found
    return found


def call(api: Any, tenant: Tenant, operation: Operation, path: str, body: Any = b"", **headers: str) -> Any:
    """One request that must be answered, in its time, and not with a fault of the service."""
    answer, spent = _timed_call(api, tenant, operation, path, body, headers)
    if spent >= CPU_SECONDS:
        # What an input costs it costs again; a collection of garbage or a busy machine does not come twice.
        answer, again = _timed_call(api, tenant, operation, path, body, headers)
        spent = min(spent, again)
    told = f"{operation.method} {path[:80]} {answer.status_code} {answer.content[:300]!r}"
    assert answer.status_code < 500, told
    assert spent < CPU_SECONDS, f"{spent:.3f} s of CPU: {told}"
    if answer.status_code >= 400:
        problem(answer, answer.status_code, answer.json()["code"])
        assert len(answer.content) < 40_000
    return answer


def _timed_call(
    api: Any, tenant: Tenant, operation: Operation, path: str, body: Any, headers: dict[str, str]
) -> tuple[Any, float]:
    """The answer, and the processor seconds of this thread alone, in which the request was answered."""
    began = time.thread_time()
    answer = api.call(operation.method, path, body, tenant.api_key, dict(headers))
    return answer, time.thread_time() - began


def nothing_was_made() -> bool:
    return Job.objects.count() == 1 and JobType.objects.count() == 0


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_refused_everywhere(api: Any, tenant: Tenant, values: dict[str, str], name: str) -> None:
    for operation in operations(with_body=True):
        answer = call(api, tenant, operation, operation.path(values), MALFORMED[name])
        problem(answer, 400, "malformed-json")
    assert nothing_was_made()


@pytest.mark.parametrize("body", [None, True, 0, 1.5, "text", [], [{}]], ids=repr)
def test_a_body_that_is_no_object_is_a_wrong_type(api: Any, tenant: Tenant, values: dict[str, str], body: Any) -> None:
    for operation in operations(with_body=True):
        answer = call(api, tenant, operation, operation.path(values), json.dumps(body).encode())
        assert faults(answer) == {("", "wrong-type")}
    assert nothing_was_made()


def test_unknown_fields_are_refused_everywhere(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    for operation in operations(with_body=True):
        answer = call(api, tenant, operation, operation.path(values), {"canary": 1, "a/b~": 2, "x" * 5000: 3})
        assert {("/canary", "unknown-field"), ("/a~1b~0", "unknown-field")} <= faults(answer)
    assert nothing_was_made()


def test_unknown_parameters_are_refused_everywhere(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    for operation in operations(closed=True):
        answer = call(api, tenant, operation, f"{operation.path(values)}?canary=1", {"type": "echo"})
        assert ("/canary", "unknown-parameter") in faults(answer), operation
    assert nothing_was_made()


def test_no_value_of_any_field_breaks_an_operation(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    names = FIELDS.split()
    bodies = [dict.fromkeys(names, value) for value in NASTY_VALUES]
    bodies += [{name: value} for name in names for value in WORST_VALUES]
    for operation in operations(with_body=True):
        for body in bodies:
            call(api, tenant, operation, operation.path(values), body)


@pytest.mark.parametrize(
    ("method", "path", "base", "fields"),
    [
        ("POST", "/v1/jobs", JOB, JOB_FIELDS),
        ("PATCH", "/v1/jobs/{job_id}", {}, CHANGE_FIELDS),
        ("PUT", "/v1/job-types/{name}", HTTP_TYPE, HTTP_TYPE_FIELDS),
    ],
    ids=["a job", "a change", "a job type"],
)
def test_a_hostile_value_alone_is_refused_or_stored(
    api: Any, tenant: Tenant, values: dict[str, str], method: str, path: str, base: dict[str, Any], fields: str
) -> None:
    """Nothing else is wrong with the request, so whatever passes the checks goes on into the database and back."""
    for field in fields.split():
        for value in NASTY_VALUES:
            answer = api.call(method, path.format(**values), placed(base, field, value), tenant.api_key, {})
            assert answer.status_code in (200, 201, 409, 422), (field, answer.content[:500])
    for page in ("/v1/jobs?limit=200", "/v1/job-types?limit=200", f"/v1/jobs/{values['job_id']}/events"):
        assert api.get(page, key=tenant.api_key).status_code == 200


def test_hostile_jobs_among_many_hurt_only_themselves(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    hostile = [placed(JOB, field, value) for field in JOB_FIELDS.split() for value in NASTY_VALUES]
    for first in range(0, len(hostile), 50):
        jobs = [*hostile[first : first + 50], JOB]
        answer = api.post("/v1/jobs/bulk", {"mode": "partial", "jobs": jobs}, key=tenant.api_key)
        assert answer.status_code == 200, answer.content[:500]
        statuses = [one["status"] for one in answer.json()["data"]]
        assert (len(statuses), statuses[-1]) == (len(jobs), 201)
        assert set(statuses) <= {201, 413, 422}


def placed(base: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """The body with the value at this place, whose parts are divided by slashes."""
    name, _, rest = field.partition("/")
    inner = base.get(name)
    return {**base, name: placed(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def test_no_parameter_breaks_an_operation(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    raw = ["%00", "%FF%FE", "%ED%A0%80", "%", "%zz", "a&a", "a;b", "+", "%2B", "=", "[]"]
    texts = [*raw, *(percent(text) for text in NASTY_TEXTS)]
    names = PARAMETERS.split()
    queries = ["&".join(f"{name}={text}" for name in names) for text in texts]
    queries += [f"{name}={text}" for name in names for text in ("%00", "%ED%A0%80", "9" * 500)]
    for operation in operations():
        for query in [*queries, "%00=1&&&==&%ED%A0%80"]:
            call(api, tenant, operation, f"{operation.path(values)}?{query}", {})


def test_no_path_breaks_an_operation(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    texts = ["%00", "a%00b", "%FF", "%ED%A0%80", "..%2F..", "%2e%2e", "a%0d%0ab", "job_", "%F0%9F%98%80", "a" * 3000]
    texts += [
        ids.show_id(ids.JOB, ids.new_id()).upper(),
        ids.show_id(ids.JOB, ids.new_id())[:-1] + "%00",
        *(percent(t) for t in NASTY_TEXTS),
    ]
    for operation in operations():
        for text in texts:
            path = operation.path(dict.fromkeys(values, text or "a"))
            if path != operation.path(values):
                answer = call(api, tenant, operation, path, {"executor": "handler", "handler": "nobody"})
                assert answer.status_code in (404, 405, 422), path[:100]
    assert nothing_was_made()


def test_no_header_breaks_an_operation(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    # A server hands headers on as Latin-1.
    texts = [text.encode().decode("latin-1") for text in NASTY_TEXTS]
    for operation in operations():
        for text in texts:
            call(api, tenant, operation, operation.path(values), {}, **dict.fromkeys(HEADERS, text))
    for operation in operations(with_body=True):
        for header in DECISIVE_HEADERS:
            for text in texts:
                call(api, tenant, operation, operation.path(values), {}, **{header: text})


def test_an_answer_repeats_no_control_characters(api: Any, tenant: Tenant, values: dict[str, str]) -> None:
    for operation in operations(closed=True):
        text = "%0d%0aSet-Cookie:%20a=b%1b%5b31m"
        answer = call(api, tenant, operation, f"{operation.path(values)}?{text}={text}", {})
        assert not any(ord(character) < 32 for name, value in answer.headers.items() for character in name + value)
        assert b"\x1b" not in answer.content


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


def test_every_code_of_the_contract_has_its_page(api: Any) -> None:
    for code, kind in PROBLEM_TYPES.items():
        assert re.fullmatch("[a-z-]+", code)
        page = api.get(f"/docs/problems/{code}").content.decode()
        assert kind.cause.split()[0] in page
        assert "<h2>Fix</h2>" in page
    assert set(PROBLEM_TYPES) >= CONTRACT
    raised = {code for path in sources() for code in re.findall(r'ApiProblem\(\s*"([a-z-]+)"', path.read_text())}
    assert raised <= set(PROBLEM_TYPES)


# fmt: off
CONTRACT = {
    "malformed-json", "unauthenticated", "insufficient-scope", "forbidden", "not-found", "method-not-allowed",
    "not-acceptable", "conflict", "unique-conflict", "job-not-waiting", "job-not-terminal", "job-terminal",
    "lease-lost", "idempotency-key-in-use", "precondition-failed", "payload-too-large", "unsupported-media-type",
    "invalid", "unknown-job-type", "idempotency-key-reused", "egress-refused", "rate-limited", "quota-exceeded",
    "internal", "unavailable",
}
# fmt: on


def sources() -> Iterator[Path]:
    return (Path(__file__).parents[2] / "api").rglob("*.py")


def percent(text: str) -> str:
    """The text as it stands in an address; a long one without what would make it three times as long."""
    if len(text) > 600:
        return text.encode("ascii", "ignore").decode()
    return "".join(f"%{byte:02X}" for byte in text.encode())
