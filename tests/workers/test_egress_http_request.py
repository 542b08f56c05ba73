"""The payload of `http.request`: every fault is named, and what passes is sent as it says."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.egress.policy import EgressPolicy
from jobservice.errors import EgressRefused, Invalid
from jobservice.jobs.http_request import check_http_request, parse_http_request

URL = "https://example.com/hook"


def faults(payload: object) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        parse_http_request(payload)
    return [(fault.pointer, fault.code) for fault in caught.value.faults]


def test_only_a_url_is_needed() -> None:
    request = parse_http_request({"url": URL})
    assert (request.method, request.url, request.headers, request.body) == ("GET", URL, {}, None)
    assert [request.expects(status) for status in (199, 200, 299, 300)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ("plain", b"plain", "text/plain; charset=utf-8"),
        ({"a": [1]}, b'{"a":[1]}', "application/json"),
        (0, b"0", "application/json"),
        (None, None, None),
    ],
)
def test_a_text_body_is_sent_as_it_is_and_any_other_as_json(
    body: object, sent: bytes | None, content_type: str | None
) -> None:
    request = parse_http_request({"url": URL, "method": "post", "body": body})
    assert (request.method, request.body, request.content_type) == ("POST", sent, content_type)


@pytest.mark.parametrize("expected", [404, [404, 200]])
def test_expected_statuses_replace_the_2xx(expected: object) -> None:
    request = parse_http_request({"url": URL, "expect_status": expected})
    assert request.expects(404)
    assert not request.expects(204)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (None, [("/payload", "wrong-type")]),
        ([], [("/payload", "wrong-type")]),
        ({}, [("/payload/url", "required")]),
        ({"url": 1}, [("/payload/url", "wrong-type")]),
        ({"url": URL, "method": "TRACE"}, [("/payload/method", "out-of-range")]),
        ({"url": URL, "method": None}, [("/payload/method", "wrong-type")]),
        ({"url": URL, "a/b~": 1}, [("/payload/a~1b~0", "unknown-field")]),
        ({"url": URL, "headers": []}, [("/payload/headers", "wrong-type")]),
        ({"url": URL, "headers": {"a": 1}}, [("/payload/headers", "wrong-type")]),
        ({"url": URL, "headers": {"a": "b\r\nc: d"}}, [("/payload/headers", "bad-format")]),
        ({"url": URL, "headers": {"Host": "inside"}}, [("/payload/headers", "bad-format")]),
        ({"url": URL, "headers": {"Webhook-Signature": "v1,x"}}, [("/payload/headers", "bad-format")]),
        ({"url": URL, "headers": {f"h{n}": "" for n in range(51)}}, [("/payload/headers", "too-long")]),
        ({"url": URL, "expect_status": []}, [("/payload/expect_status", "wrong-type")]),
        ({"url": URL, "expect_status": True}, [("/payload/expect_status", "wrong-type")]),
        ({"url": URL, "expect_status": "200"}, [("/payload/expect_status", "wrong-type")]),
        ({"url": URL, "expect_status": [200, 99]}, [("/payload/expect_status", "out-of-range")]),
        (
            {"method": "x", "expect_status": 1000},
            [
                ("/payload/url", "required"),
                ("/payload/method", "out-of-range"),
                ("/payload/expect_status", "out-of-range"),
            ],
        ),
    ],
)
def test_each_fault_is_named_with_its_place(payload: Any, found: list[tuple[str, str]]) -> None:
    assert faults(payload) == found


def test_a_url_that_the_policy_forbids_is_refused() -> None:
    request = parse_http_request({"url": "http://169.254.169.254/latest"})
    with pytest.raises(EgressRefused):
        check_http_request(request, EgressPolicy())
