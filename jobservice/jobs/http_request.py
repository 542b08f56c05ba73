"""The payload of the built-in type `http.request`: an ad-hoc HTTP call whose answer is the job's result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jobservice.egress.headers import check_headers
from jobservice.egress.policy import EgressPolicy, check_url
from jobservice.errors import EgressRefused, Fault, Invalid
from jobservice.field_checks import MOST_UNKNOWN, is_whole

TYPE_NAME = "http.request"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_HEADERS = 50
MAX_STATUSES = 50

_FIELDS = ("method", "url", "headers", "body", "expect_status")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A call to make. `expect_status` empty means any 2xx; `content_type` is what `body` is when no header says it."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    expect_status: frozenset[int] = frozenset()

    def expects(self, status: int) -> bool:
        """Whether an answer with this status completes the job."""
        return status in self.expect_status if self.expect_status else 200 <= status <= 299


def parse_http_request(payload: object) -> HttpRequest:
    """The call that a parsed JSON payload asks for.

    Raises `Invalid` with every fault at once, pointers starting at `/payload`. Whether the URL may be dialled is
    `check_http_request`'s question.
    """
    if not isinstance(payload, dict):
        raise Invalid([Fault("/payload", "wrong-type", "The payload must be an object with a url.")])
    faults = [*_field_faults(payload), *_header_faults(payload.get("headers")), *_status_faults(payload)]
    if faults:
        raise Invalid(faults)
    body, content_type = _read_body(payload.get("body"))
    return HttpRequest(
        method=payload.get("method", "GET").upper(),
        url=payload["url"],
        headers=dict(payload.get("headers") or {}),
        body=body,
        content_type=content_type,
        expect_status=frozenset(_statuses(payload)),
    )


def check_http_request(request: HttpRequest, policy: EgressPolicy) -> None:
    """Pass when the URL could be dialled under the policy. Raises `EgressRefused`."""
    check_url(request.url, policy)


def _field_faults(payload: dict[str, Any]) -> Iterator[Fault]:
    for name in islice((name for name in payload if name not in _FIELDS), MOST_UNKNOWN):
        yield Fault(_pointer(name), "unknown-field", "http.request has no such field.")
    if "url" not in payload:
        yield Fault("/payload/url", "required", "http.request needs a url.")
    elif not isinstance(payload["url"], str):
        yield Fault("/payload/url", "wrong-type", "The url must be text.")
    method = payload.get("method", "GET")
    if not isinstance(method, str):
        yield Fault("/payload/method", "wrong-type", "The method must be text.")
    elif method.upper() not in METHODS:
        yield Fault("/payload/method", "out-of-range", f"The method must be one of {', '.join(METHODS)}.")


def _header_faults(headers: object) -> Iterator[Fault]:
    if headers is None:
        return
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        yield Fault("/payload/headers", "wrong-type", "The headers must be an object of texts.")
        return
    if len(headers) > MAX_HEADERS:
        yield Fault("/payload/headers", "too-long", f"There may be at most {MAX_HEADERS} headers.")
        return
    try:
        check_headers(headers)
    except EgressRefused as refusal:
        yield Fault("/payload/headers", "bad-format", refusal.detail)


def _status_faults(payload: dict[str, Any]) -> Iterator[Fault]:
    if payload.get("expect_status") is None:
        return
    statuses = _statuses(payload)
    if not statuses or len(statuses) > MAX_STATUSES or not all(is_whole(status) for status in statuses):
        detail = f"The expected status must be a number or a list of 1 to {MAX_STATUSES} numbers."
        yield Fault("/payload/expect_status", "wrong-type", detail)
    elif not all(200 <= status <= 599 for status in statuses):
        yield Fault("/payload/expect_status", "out-of-range", "An expected status is a number from 200 to 599.")


def _statuses(payload: dict[str, Any]) -> list[Any]:
    given = payload.get("expect_status")
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _read_body(body: object) -> tuple[bytes | None, str | None]:
    if body is None:
        return None, None
    if isinstance(body, str):
        # A lone surrogate cannot be sent as UTF-8; the question mark is what every browser sends too.
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode(), "application/json"


def _pointer(name: str) -> str:
    return "/payload/" + name.replace("~", "~0").replace("/", "~1")
