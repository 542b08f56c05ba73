"""POST /v1/jobs."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from django.test import Client

import api.urls  # noqa: F401 (imported before the tests that take the time)
from tenants.models import Tenant as TenantRow
from tests.api.keys import faults, make_key, problem
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def test_a_job_is_accepted_and_says_where_it_is(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", {"type": "echo", "payload": {"n": 1}, "tags": {"customer": "7"}}, key=tenant.api_key)
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (job["type"], job["state"], job["queue"], job["attempt"]) == ("echo", "available", "default", 0)
    assert job["tags"] == {"customer": "7"}
    assert job["created_at"].endswith("Z")
    assert {**api.get(answer.headers["Location"], key=tenant.api_key).json(), "waiting": None} == job


def test_a_payload_comes_back_as_it_was_sent(api: Any, tenant: Any) -> None:
    payload = {"text": "\x00 ü \U0001f600", "deep": [[[{}]]], "n": 10**30, "f": 1.5, "null": None}
    made = api.post("/v1/jobs", {"type": "echo", "payload": payload, "metadata": {"m": 1}}, key=tenant.api_key).json()
    read = api.get(f"/v1/jobs/{made['id']}?include=payload,metadata,result", key=tenant.api_key).json()
    assert read["payload"] == payload
    assert read["metadata"] == {"m": 1}
    assert read["result"] is None


def test_a_repeated_request_makes_a_second_job(api: Any, tenant: Any) -> None:
    first, second = (api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key).json() for _ in range(2))
    assert first["id"] != second["id"]


def test_without_a_key_nothing_is_accepted(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", {"type": "echo"})
    problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer \xfc", "Bearer " + "a" * 5000])
def test_a_wrong_authorization_header_is_a_401(api: Any, tenant: Any, header: str) -> None:
    problem(api.post("/v1/jobs", {"type": "echo"}, Authorization=header), 401, "unauthenticated")


def test_a_key_of_another_secret_is_a_401(api: Any, tenant: Any, other_tenant: Any) -> None:
    own, other = tenant.api_key, other_tenant.api_key
    problem(api.post("/v1/jobs", {"type": "echo"}, key=own[:20] + other[20:]), 401, "unauthenticated")


def test_a_key_without_the_scope_is_told_which(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", {"type": "echo"}, key=make_key(tenant, "jobs:read"))
    assert "jobs:write" in problem(answer, 403, "insufficient-scope")["detail"]


def test_a_key_limited_to_a_queue_submits_only_there(api: Any, tenant: Any) -> None:
    key = make_key(tenant, "jobs:write", queues=["mail"])
    assert api.post("/v1/jobs", {"type": "echo", "queue": "mail"}, key=key).status_code == 201
    problem(api.post("/v1/jobs", {"type": "echo", "queue": "other"}, key=key), 403, "forbidden")
    problem(api.post("/v1/jobs", {"type": "echo"}, key=key), 403, "forbidden")
    for queue, status in (("mail", 201), ("other", 403)):
        body = {"executor": "handler", "handler": "echo", "defaults": {"queue": queue}}
        api.put("/v1/job-types/mine", body, key=tenant.api_key)
        assert api.post("/v1/jobs", {"type": "mine"}, key=key).status_code == status


def test_a_key_limited_to_a_network_works_only_from_there(api: Any, tenant: Any) -> None:
    near, far = (
        make_key(tenant, "jobs:write", cidrs=["127.0.0.0/8"]),
        make_key(tenant, "jobs:write", cidrs=["10.0.0.0/8"]),
    )
    assert api.post("/v1/jobs", {"type": "echo"}, key=near).status_code == 201
    problem(api.post("/v1/jobs", {"type": "echo"}, key=far), 403, "forbidden")
    problem(api.post("/v1/jobs", {"type": "echo"}, key=far, X_Forwarded_For="10.0.0.1"), 403, "forbidden")


def test_a_suspended_tenant_reads_but_does_not_write(api: Any, tenant: Any) -> None:
    job = api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key).json()
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    problem(api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key), 403, "forbidden")
    assert api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).status_code == 200


def test_an_unknown_type_is_a_problem_of_its_own(api: Any, tenant: Any) -> None:
    problem(api.post("/v1/jobs", {"type": "nobody.knows"}, key=tenant.api_key), 422, "unknown-job-type")


def test_every_fault_is_named_at_once(api: Any, tenant: Any) -> None:
    body = {"queue": 7, "priority": 10, "nonsense": 1, "unique": {}, "tags": {"Bad Name": "x", "a": "\x00"}}
    assert faults(api.post("/v1/jobs", body, key=tenant.api_key)) == {
        ("/type", "required"),
        ("/queue", "wrong-type"),
        ("/priority", "out-of-range"),
        ("/nonsense", "unknown-field"),
        ("/unique", "required"),
        ("/tags/Bad Name", "bad-format"),
        ("/tags/a", "bad-format"),
    }


def test_a_whole_number_may_be_written_with_a_fraction_of_zero(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", b'{"type":"echo","priority":3.0,"max_attempts":1e1}', key=tenant.api_key)
    assert (answer.json()["priority"], answer.json()["max_attempts"]) == (3, 10)
    assert b'"priority":3,' in answer.content
    body = b'{"type":"echo","priority":0.5,"timeout_seconds":1e300,"max_attempts":true}'
    assert faults(api.post("/v1/jobs", body, key=tenant.api_key)) == {
        ("/priority", "wrong-type"),
        ("/timeout_seconds", "out-of-range"),
        ("/max_attempts", "wrong-type"),
    }


def test_an_answer_does_not_grow_with_the_faults(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", {f"f{n}": n for n in range(5000)}, key=tenant.api_key)
    assert len(problem(answer, 422, "invalid")["errors"]) == 100


def test_unknown_query_parameters_are_refused(api: Any, tenant: Any) -> None:
    assert faults(api.post("/v1/jobs?dry=1", {"type": "echo"}, key=tenant.api_key)) == {("/dry", "unknown-parameter")}


def test_a_callback_the_service_would_not_dial_is_refused(api: Any, tenant: Any) -> None:
    body = {"type": "echo", "callback_url": "http://169.254.169.254/latest"}
    problem(api.post("/v1/jobs", body, key=tenant.api_key), 422, "egress-refused")


def test_an_ad_hoc_call_is_checked_when_it_is_submitted(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", {"type": "http.request", "payload": {"method": "FETCH"}}, key=tenant.api_key)
    assert faults(answer) == {("/payload/url", "required"), ("/payload/method", "out-of-range")}


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"{",
        b"[1,]",
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b'{"payload":NaN}',
        b'{"payload":-Infinity}',
        b'{"payload":1e999}',
        b'{"type":"echo","payload":"\\ud800"}',
        b'{"type":"echo","tags":{"a":"\\uDC00"}}',
        b'{"payload":' + b"9" * 200_000 + b"}",
        b"[" * 200_000,
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b'"' + b"x" * 1_000_000,
        b"[" * 100 + b"[],[],[]" + b"]" * 100,
    ],
)
def test_malformed_json_is_refused_quickly(api: Any, tenant: Any, body: bytes) -> None:
    def refuse() -> float:
        started = time.thread_time()
        problem(api.post("/v1/jobs", body, key=tenant.api_key), 400, "malformed-json")
        return time.thread_time() - started

    # What a body costs it costs again; what the first request of a process costs, or a collection of garbage, does not.
    assert min(refuse() for _ in range(3)) < 0.25


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object_is_invalid(api: Any, tenant: Any, body: bytes) -> None:
    assert faults(api.post("/v1/jobs", body, key=tenant.api_key)) == {("", "wrong-type")}


def test_nesting_up_to_a_hundred_is_fine(api: Any, tenant: Any) -> None:
    body = b'{"type":"echo","payload":' + b"[" * 99 + b"]" * 99 + b"}"
    assert api.post("/v1/jobs", body, key=tenant.api_key).status_code == 201


@pytest.mark.parametrize("text", ["[" * 300, '"[' * 300, "\\" + "{" * 300, '\\"' + "]" * 300, '"'])
def test_brackets_in_texts_are_no_nesting(api: Any, tenant: Any, text: str) -> None:
    job = {"type": "echo", "payload": [text, {text: text}, [[]] * 200]}
    assert api.post("/v1/jobs", job, key=tenant.api_key).status_code == 201
    deep = b'{"type":"echo","payload":[' + json.dumps(text).encode() + b"," + b"[" * 101 + b"]" * 101 + b"]}"
    problem(api.post("/v1/jobs", deep, key=tenant.api_key), 400, "malformed-json")


def test_a_payload_of_the_limit_is_taken_and_one_byte_more_is_not(api: Any, tenant: Any) -> None:
    limit = 1024 * 1024 - len('""')
    assert api.post("/v1/jobs", {"type": "echo", "payload": "x" * limit}, key=tenant.api_key).status_code == 201
    answer = api.post("/v1/jobs", {"type": "echo", "payload": "x" * (limit + 1)}, key=tenant.api_key)
    problem(answer, 413, "payload-too-large")


def test_a_body_over_the_cap_is_refused(api: Any, tenant: Any) -> None:
    body = b'{"type":"echo"}' + b" " * (1024 * 1024 + 64 * 1024)
    problem(api.post("/v1/jobs", body, key=tenant.api_key), 413, "payload-too-large")


def test_the_tenants_own_payload_limit_counts(api: Any, tenant: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"payload_bytes": 10})
    problem(api.post("/v1/jobs", {"type": "echo", "payload": "x" * 9}, key=tenant.api_key), 413, "payload-too-large")


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
)
def test_a_body_that_is_not_sent_as_json_is_a_415(api: Any, tenant: Any, media_type: str) -> None:
    answer = api.post("/v1/jobs", b'{"type":"echo"}', key=tenant.api_key, Content_Type=media_type)
    problem(answer, 415, "unsupported-media-type")


def test_a_compressed_body_is_a_415(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", b"\x1f\x8b", key=tenant.api_key, Content_Encoding="gzip")
    problem(answer, 415, "unsupported-media-type")


def test_json_with_a_charset_of_utf8_is_taken(api: Any, tenant: Any) -> None:
    body = json.dumps({"type": "echo"}).encode()
    answer = api.post("/v1/jobs", body, key=tenant.api_key, Content_Type='application/json; charset="UTF-8"')
    assert answer.status_code == 201


class Chunked(io.BytesIO):
    """A chunked body as the server offers it: without a length, ended by the server. Counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        self.taken += len(part)
        return part


def post_chunked(tenant: Any, body: Chunked) -> Any:
    extra: dict[str, Any] = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    with as_role("web"):
        return Client().post(
            "/v1/jobs",
            content_type="application/json",
            headers={"Authorization": f"Bearer {tenant.api_key}", "Transfer-Encoding": "chunked"},
            **extra,
        )


def test_a_chunked_body_is_read(tenant: Any) -> None:
    assert post_chunked(tenant, Chunked(b'{"type":"echo"}')).status_code == 201


def test_an_endless_chunked_body_is_read_no_further_than_the_cap(tenant: Any) -> None:
    body = Chunked(b'{"type":"echo"}' + b" " * 3_000_000)
    problem(post_chunked(tenant, body), 413, "payload-too-large")
    assert body.taken == 1024 * 1024 + 64 * 1024 + 1


def test_a_body_cut_short_is_not_taken_for_a_whole_one(tenant: Any) -> None:
    extra: dict[str, Any] = {"wsgi.input": io.BytesIO(b'{"type":"echo"}'), "CONTENT_LENGTH": "20"}
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    with as_role("web"):
        answer = Client().post("/v1/jobs", content_type="application/json", headers=headers, **extra)
    problem(answer, 400, "bad-request")
