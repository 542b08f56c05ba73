"""What a client may submit: the checked, immutable form of a job's request. No HTTP, no database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jobservice.egress.policy import check_url
from jobservice.errors import EgressRefused, Fault, Invalid, JobserviceError
from jobservice.jobs.egress_policy import egress_policy
from jobservice.jobs.field_checks import Fields, compact_json, refusal
from jobservice.jobs.http_request import check_http_request, parse_http_request
from jobservice.jobs.options import OPTION_FIELDS, read_options

HORIZON_SECONDS = 366 * 86_400
METADATA_BYTES = 4096
MAX_TAGS = 16
HTTP_REQUEST = "http.request"
MAX_TAG_CHARACTERS = 200

_NOT_BUILT = frozenset({"unique", "concurrency_key", "start_deadline_seconds"})
_FIELDS = OPTION_FIELDS | {"type", "payload", "run_at", "delay_seconds", "tags", "callback_url", "metadata"}
# W3C Trace Context, section 3.2: version ff and ids of zeros are invalid.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class PayloadTooLarge(JobserviceError):
    """A request or its payload is larger than the tenant may send."""

    code = "payload-too-large"


@dataclass(frozen=True, slots=True)
class SubmissionLimits:
    """What the tenant's quotas say about one job. Sizes in bytes of compact UTF-8 JSON."""

    payload_bytes: int = 1024**2


@dataclass(frozen=True, slots=True)
class Submission:
    """A job as it was asked for. None: not given, the job type or the service decides. `retry`: only the given keys."""

    type: str
    payload: bytes = field(default=b"null", repr=False)
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    delay_seconds: int | None = None
    timeout_seconds: int | None = None
    max_attempts: int | None = None
    retry: dict[str, Any] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    callback_url: str | None = field(default=None, repr=False)
    metadata: bytes | None = field(default=None, repr=False)
    traceparent: str | None = None


def parse_submission(raw: object, *, limits: SubmissionLimits, traceparent: str | None = None) -> Submission:
    """The submission in a parsed JSON body; `traceparent` is the request's header, left out when malformed.

    Raises `Invalid` with every fault, `EgressRefused` when the callback URL is the only one, and `PayloadTooLarge`.
    """
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    faults: list[Fault] = []
    fields = Fields(raw, faults=faults)
    fields.refuse_others(known=_FIELDS, not_built=_NOT_BUILT)
    fields.require("type")
    payload = _read_payload(fields, limits)
    submission = Submission(
        type=fields.name("type") or "",
        payload=payload,
        **read_due(fields),
        **read_options(fields),
        tags=read_tags(fields),
        callback_url=_read_callback_url(fields),
        metadata=_read_metadata(fields),
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
    )
    if submission.type == HTTP_REQUEST:
        faults += _http_request_faults(raw.get("payload"))
    if faults:
        raise refusal(faults)
    return submission


def _read_payload(fields: Fields, limits: SubmissionLimits) -> bytes:
    payload = fields.json("payload") or b"null"
    if len(payload) > limits.payload_bytes:
        raise PayloadTooLarge(f"The payload has {len(payload)} bytes; at most {limits.payload_bytes} are allowed.")
    return payload


def read_due(fields: Fields) -> dict[str, Any]:
    """`run_at` and `delay_seconds`, at most one of which is given; the others are noted as faults."""
    run_at = fields.instant("run_at")
    delay = fields.integer("delay_seconds", low=0, high=HORIZON_SECONDS)
    if fields.raw.get("run_at") is not None and fields.raw.get("delay_seconds") is not None:
        fields.refuse("delay_seconds", "conflicting-fields", "Give run_at or delay_seconds, not both.")
    if run_at is not None and run_at > datetime.now(UTC) + timedelta(seconds=HORIZON_SECONDS):
        fields.refuse("run_at", "out-of-range", "run_at may be at most one year ahead.")
    return {"run_at": run_at, "delay_seconds": delay}


def read_tags(fields: Fields) -> dict[str, str]:
    """The tags; none when they are not given. Faults are noted."""
    tags = fields.fields("tags")
    if tags is None:
        return {}
    if len(tags.raw) > MAX_TAGS:
        fields.refuse("tags", "too-long", f"A job may have at most {MAX_TAGS} tags.")
        return {}
    return {name: value for name in tags.raw if (value := _read_tag(tags, name)) is not None}


def _read_tag(tags: Fields, name: str) -> str | None:
    # The name is checked by the rule for names, as if it were a value of its own.
    if Fields({name: name}, faults=tags.faults, pointer=tags.pointer("")[:-1]).name(name) is None:
        return None
    if tags.raw[name] is None:
        tags.refuse(name, "wrong-type", "A tag's value must be a string, not null.")
        return None
    return tags.text(name, max_characters=MAX_TAG_CHARACTERS)


def _read_callback_url(fields: Fields) -> str | None:
    url = fields.text("callback_url", max_characters=2048)
    if url is not None:
        try:
            check_url(url, egress_policy())
        except EgressRefused as error:
            fields.refuse("callback_url", error.code, error.detail)
    return url


def _http_request_faults(payload: object) -> list[Fault]:
    """The built-in ad-hoc call is checked when it is submitted, like the URL of a job type when it is written."""
    try:
        check_http_request(parse_http_request(payload), egress_policy())
    except Invalid as error:
        return error.faults
    except EgressRefused as error:
        return [Fault("/payload/url", error.code, error.detail)]
    return []


def _read_metadata(fields: Fields) -> bytes | None:
    metadata = fields.json("metadata")
    if metadata is None or metadata == compact_json(None):
        return None
    if len(metadata) > METADATA_BYTES:
        fields.refuse("metadata", "too-long", f"metadata may have at most {METADATA_BYTES} bytes of JSON.")
        return None
    return metadata
