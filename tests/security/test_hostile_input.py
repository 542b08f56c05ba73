"""Every operation against input made to break it: each is refused, quickly, and with nothing of it told or done.

A hostile value may be refused with any 4xx that fits; what no operation may do is fail (5xx), take it (2xx where it
cannot mean anything), or work on it for long.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobservice import ids
from tests.api.keys import faults
from tests.factories import Tenant
from tests.security.hostile import call, nothing_was_made, operations

pytestmark = pytest.mark.django_db

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
    "overlap_seconds unique concurrency_key concurrency key_concurrency rate paused retention_days "
    "url events headers signing status"
)
# Bodies that pass, for the hostile value to be all that is wrong: where it stands, and with which fields.
JOB = {"type": "echo"}
JOB_FIELDS = (
    "type payload queue priority run_at delay_seconds timeout_seconds max_attempts callback_url metadata tags tags/a "
    "unique/key unique/fields unique/payload_pointers unique/period_seconds unique/while unique/on_conflict "
    "retry retry/strategy retry/initial_seconds retry/factor retry/jitter retry/max_age_seconds retry/schedule_seconds"
)
HTTP_TYPE = {"executor": "http", "http": {"url": "http://127.0.0.1:9/"}}
HTTP_TYPE_FIELDS = (
    "executor http http/url http/headers http/headers/X-A http/signing http/signing/scheme http/signing/own "
    "http/signing/public_key handler defaults defaults/queue defaults/priority defaults/retry payload_schema on_crash"
)
QUEUE = {"concurrency": 3, "rate": {"limit": 5, "period_seconds": 60}}
QUEUE_FIELDS = "concurrency key_concurrency rate rate/limit rate/period_seconds rate/burst paused retention_days"
ENDPOINT_BODY = {"url": "http://127.0.0.1:9/"}
ENDPOINT_FIELDS = "url events events/a queues types headers headers/X-A signing signing/scheme signing/own status"
REPLAY_BODY, REPLAY_FIELDS = {"since": "2020-01-01T00:00:00Z"}, "since until states events"
CHANGE_FIELDS = "priority run_at delay_seconds tags tags/a max_attempts"
PARAMETERS = "limit cursor state queue type tag priority created_after created_before include event canary"
HEADERS = ["Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "traceparent", "X-Forwarded-For", "X-Request-Id"]
# These end a request before the others are looked at.
DECISIVE_HEADERS = ["Accept", "Authorization", "Content-Encoding", "Content-Type", "Host", "Idempotency-Key"]


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
        ("PUT", "/v1/queues/{queue}", QUEUE, QUEUE_FIELDS),
        ("PATCH", "/v1/queues/{queue}", QUEUE, QUEUE_FIELDS),
        ("POST", "/v1/webhook-endpoints", ENDPOINT_BODY, ENDPOINT_FIELDS),
        ("PATCH", "/v1/webhook-endpoints/{endpoint_id}", ENDPOINT_BODY, ENDPOINT_FIELDS),
        ("POST", "/v1/webhook-endpoints/{endpoint_id}/replay", REPLAY_BODY, REPLAY_FIELDS),
    ],
    ids=[
        "a job",
        "a change",
        "a job type",
        "a queue",
        "a change of a queue",
        "an endpoint",
        "a change of an endpoint",
        "a replay",
    ],
)
def test_a_hostile_value_alone_is_refused_or_stored(
    api: Any, tenant: Tenant, values: dict[str, str], method: str, path: str, base: dict[str, Any], fields: str
) -> None:
    """Nothing else is wrong with the request, so whatever passes the checks goes on into the database and back."""
    for field in fields.split():
        for value in NASTY_VALUES:
            answer = api.call(method, path.format(**values), placed(base, field, value), tenant.api_key, {})
            assert answer.status_code in (200, 201, 409, 422), (field, answer.content[:500])
    pages = ("/v1/jobs?limit=200", "/v1/job-types?limit=200", "/v1/queues", "/v1/webhook-endpoints?limit=200")
    for page in (*pages, f"/v1/jobs/{values['job_id']}/events"):
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


def percent(text: str) -> str:
    """The text as it stands in an address; a long one without what would make it three times as long."""
    if len(text) > 600:
        return text.encode("ascii", "ignore").decode()
    return "".join(f"%{byte:02X}" for byte in text.encode())
