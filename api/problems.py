"""Problem documents (RFC 9457): the one table of their codes, and how one becomes an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from jobservice.client_address import REQUEST_ID_KEY
from jobservice.errors import Fault

MEDIA_TYPE = "application/problem+json"
PAGES_PATH = "/docs/problems/"
# On every answer, whoever writes it, so that a browser does nothing with one.
SAFE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HSTS = "max-age=31536000; includeSubDomains"
# An answer must not grow with the number of mistakes in a request.
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of error: its status, and for its page why it happens and what to do."""

    status: int
    title: str
    cause: str
    fix: str


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    "bad-request": ProblemType(
        400,
        "The request cannot be read",
        "The request breaks HTTP's rules, names a host that this service does not answer for, comes from a job or a "
        "callback of this service itself, or its body ended early.",
        "Check the address and the headers, and send the request again.",
    ),
    "malformed-json": ProblemType(
        400,
        "The body is not valid JSON",
        "The body is empty, is not UTF-8, breaks RFC 8259, names a member twice, has NaN or Infinity, a number or a "
        "nesting out of bounds, or half of a surrogate pair.",
        "Send one JSON document in UTF-8 that any strict parser reads.",
    ),
    "unauthenticated": ProblemType(
        401,
        "An API key is needed",
        "There is no Authorization header, or its key is mistyped, unknown, expired or revoked.",
        "Send the header Authorization: Bearer js_live_… with a key of your tenant.",
    ),
    "insufficient-scope": ProblemType(
        403,
        "The API key lacks a scope",
        "The key is valid, but was made without the scope this operation needs; detail names it.",
        "Use a key that has the scope.",
    ),
    "forbidden": ProblemType(
        403,
        "This key may not do that",
        "The tenant is suspended, or the queues or the networks that the key is limited to do not reach so far, or it "
        "would make a key with more rights than its own.",
        "Read the detail: use another key, queue or address, or ask the operator of the service.",
    ),
    "not-found": ProblemType(
        404,
        "There is nothing here",
        "The address or the id is wrong, or the object belongs to somebody else.",
        "Check the address, the id and whose key you use.",
    ),
    "method-not-allowed": ProblemType(
        405,
        "The method is not allowed here",
        "The address exists, but not for this method.",
        "Use one of the methods in the Allow header.",
    ),
    "not-acceptable": ProblemType(
        406,
        "No acceptable form of the answer",
        "The Accept header leaves out application/json, the only form this operation answers in.",
        "Accept application/json, or leave the header out.",
    ),
    "request-timeout": ProblemType(
        408,
        "The request took too long to arrive",
        "The client was too slow with the head or the body of the request, or stopped in the middle of it.",
        "Send the request again, at once and as a whole.",
    ),
    "conflict": ProblemType(
        409,
        "The state of the object forbids it",
        "The object is not in a state, or not of a kind, that allows this; or as many bulk actions of the tenant run "
        "as may at once.",
        "Read the detail and the object, and decide anew.",
    ),
    "unique-conflict": ProblemType(
        409,
        "The unique key is taken",
        "Another job holds the same unique key: it is not over, has not started, or its period goes on. existing_id "
        "names it, unless it is in a queue that the API key is not for.",
        "Use that job, or wait for its end; with on_conflict return or replace the submission is answered otherwise.",
    ),
    "job-not-waiting": ProblemType(
        409,
        "The job does not wait any more",
        "Only a scheduled, available, retryable or suspended job can be changed; this one is claimed, runs or is over.",
        "Read the job. Cancel it, or submit another.",
    ),
    "job-not-terminal": ProblemType(
        409,
        "The job is not over",
        "Only a job that is completed, discarded or cancelled can be erased. To be retried it may also wait for its "
        "next try, or be held.",
        "Wait for its end, or cancel it, and try again.",
    ),
    "job-terminal": ProblemType(
        409,
        "The job is over",
        "Only a job that is not completed, discarded or cancelled yet can be cancelled.",
        "Read the job: it has ended already.",
    ),
    "no-own-secret": ProblemType(
        409,
        "There is no signing secret of its own",
        "The job type signs with the tenant's default secret, which other receivers verify with too, or signs nothing.",
        "Give an http type a secret of its own by a PUT with http.signing.own, or rotate the default one.",
    ),
    "lease-lost": ProblemType(
        409,
        "The lease is over",
        "The run has ended already, or somebody else has the job by now.",
        "Stop working on the job, and read it: what comes now is not taken.",
    ),
    "idempotency-key-in-use": ProblemType(
        409,
        "The first request is still at work",
        "A request with the same Idempotency-Key came at the same moment and has not been answered yet.",
        "Send it again in a moment with the same key: it gets the first one's answer.",
    ),
    "precondition-failed": ProblemType(
        412,
        "The object has changed",
        "The object is not in the version that If-Match names, or is there although If-None-Match forbids.",
        "Read the object again and repeat the change with its new ETag.",
    ),
    "payload-too-large": ProblemType(
        413,
        "The request is too large",
        "The body, or the payload in it, is larger than the tenant may send.",
        "Store the data elsewhere and submit a reference to it, or ask the operator for a higher payload_bytes.",
    ),
    "uri-too-long": ProblemType(
        414,
        "The address is too long",
        "The request line is longer than the service reads.",
        "Check the query: filters are few and short.",
    ),
    "unsupported-media-type": ProblemType(
        415,
        "The body is not sent as JSON",
        "The Content-Type is missing or is not application/json in UTF-8, or the body is compressed.",
        "Send the header Content-Type: application/json and the body uncompressed.",
    ),
    "invalid": ProblemType(
        422,
        "The request has invalid values",
        "One or more fields or parameters break a rule; errors names each by a JSON pointer. What this version does "
        "not do yet has the code not-supported.",
        "Correct every entry of errors and send the request again. Nothing of it was done.",
    ),
    "unknown-job-type": ProblemType(
        422,
        "There is no such job type",
        "The tenant has no job type of this name, and it is not built in.",
        "Make it with PUT /v1/job-types/{name}, or correct the name; GET /v1/job-types lists them.",
    ),
    "idempotency-key-reused": ProblemType(
        422,
        "The Idempotency-Key belongs to another request",
        "In the last 24 hours the same operation was called with this key and another body.",
        "Make a new key for each new request, and keep it only for repeating that request.",
    ),
    "egress-refused": ProblemType(
        422,
        "The service will not call this URL",
        "Its scheme, port, host or form is one that the service never dials.",
        "Use an https URL of a public host, or ask the operator to allow the network.",
    ),
    "rate-limited": ProblemType(
        429,
        "Too many requests at once",
        "The tenant sends requests faster than its limit, which RateLimit-Policy names; or too many wrong keys, or "
        "wrong addresses of runs, came from this address.",
        "Send the request again after the seconds that Retry-After names, and fewer at a time.",
    ),
    "quota-exceeded": ProblemType(
        429,
        "The tenant has no room for more",
        "The tenant holds or uses as much as it may; violated_policies names the quota.",
        "With a Retry-After it frees by itself then; else remove what is not needed, or ask the operator for a higher "
        "quota.",
    ),
    "headers-too-large": ProblemType(
        431,
        "The headers are too large",
        "The request has more headers than the service reads, or one that is too long.",
        "Leave out the headers that the service does not need, cookies above all.",
    ),
    "internal": ProblemType(
        500,
        "Something went wrong in the service",
        "A fault of the service, not of the request.",
        "Try again later; give the operator the request_id.",
    ),
    "unavailable": ProblemType(
        503,
        "The service cannot answer now",
        "Something that the service depends on is away for the moment. Nothing was promised.",
        "Try again after the seconds that Retry-After names.",
    ),
}


class ApiProblem(Exception):
    """An answer that ends a request early. `code` is one of `PROBLEM_TYPES`; `detail` is a sentence for a person."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def safe_headers() -> dict[str, str]:
    """Of every answer, whoever writes it. Where the service is reached over TLS, as the public URL says, browsers are
    told to come by nothing else.
    """
    is_over_tls = settings.ENVIRONMENT.public_url.lower().startswith("https://")
    return {**SAFE_HEADERS, **({"Strict-Transport-Security": _HSTS} if is_over_tls else {})}


def problem_document(
    request: HttpRequest, code: str, detail: str, *, faults: Sequence[Fault] = (), **members: Any
) -> dict[str, Any]:
    """The document for one problem; `members` are added to it."""
    document = {**bare_document(code, detail, request_id=request.META.get(REQUEST_ID_KEY)), **members}
    if faults:
        document["errors"] = [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in faults[:MAX_FAULTS]
        ]
    return document


def problem_response(
    request: HttpRequest,
    code: str,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> HttpResponse:
    """The answer for one problem; `members` are added to the document."""
    document = problem_document(request, code, detail, faults=faults, **members)
    # ASCII only, because a pointer may hold whatever the client sent.
    response = HttpResponse(
        json.dumps(document), status=document["status"], content_type=MEDIA_TYPE, headers=dict(headers or {})
    )
    # Django would log the path of every error; the request's own event already tells all that may be told.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def bare_document(code: str, detail: str, *, request_id: str | None) -> dict[str, Any]:
    """What every problem's document has."""
    kind = PROBLEM_TYPES[code]
    return {
        "type": PAGES_PATH + code,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
