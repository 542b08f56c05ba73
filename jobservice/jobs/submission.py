"""What a client may submit: the checked, immutable form of a job's request. No HTTP, no database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from jobservice.egress_policy import egress_policy
from jobservice.errors import EgressRefused, Fault, Invalid, JobserviceError
from jobservice.field_checks import Fields, compact_json, refusal
from jobservice.jobs.http_request import check_http_request, parse_http_request
from jobservice.jobs.options import OPTION_FIELDS, read_options
from jobservice.jobs.unique_option import UNFINISHED, HeldWhile, UniqueOption, read_unique
from jobservice.target_fields import read_url

HORIZON_SECONDS = 366 * 86_400
METADATA_BYTES = 4096
MAX_TAGS = 16
HTTP_REQUEST = "http.request"
MAX_TAG_CHARACTERS = 200
MAX_KEY_CHARACTERS = 200

_DUE_FIELDS = frozenset({"run_at", "delay_seconds", "start_deadline_seconds"})
_OTHER_FIELDS = {"type", "payload", "concurrency_key", "unique", "tags", "callback_url", "metadata"}
_FIELDS = OPTION_FIELDS | _DUE_FIELDS | _OTHER_FIELDS
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
class Origin:
    """The job that another is made from, and what goes over of which only hashes are kept; None: it had none."""

    job_id: UUID
    concurrency_hash: bytes | None = field(default=None, repr=False)
    unique_hash: bytes | None = field(default=None, repr=False)
    unique_while: HeldWhile = UNFINISHED


@dataclass(frozen=True, slots=True)
class Submission:
    """A job as it was asked for. None: not given, the job type or the service decides. `retry`: only the given keys,
    or all of it when the job is made from another.

    `start_deadline_seconds` counts from when the job is due.
    """

    type: str
    payload: bytes = field(default=b"null", repr=False)
    # What `payload` is the JSON of, so that a schema's check need not parse it again.
    payload_value: Any = field(default=None, repr=False, compare=False)
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    delay_seconds: int | None = None
    start_deadline_seconds: int | None = None
    timeout_seconds: int | None = None
    max_attempts: int | None = None
    retry: dict[str, Any] | None = None
    concurrency_key: str | None = field(default=None, repr=False)
    tags: dict[str, str] = field(default_factory=dict)
    callback_url: str | None = field(default=None, repr=False)
    metadata: bytes | None = field(default=None, repr=False)
    traceparent: str | None = None
    unique: UniqueOption | None = None
    made_from: Origin | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a body asks for as far as it can be read (None: it is no object), and every fault in it."""

    submission: Submission | None
    faults: list[Fault]

    def accept(self) -> Submission:
        """The submission when nothing is wrong with it.

        Raises `PayloadTooLarge`, `EgressRefused` when the callback URL is the only fault, and `Invalid` with them all.
        """
        for fault in self.faults:
            if fault.code == PayloadTooLarge.code:
                raise PayloadTooLarge(fault.detail)
        if self.submission is None or self.faults:
            raise refusal(self.faults)
        return self.submission


def parse_submission(raw: object, *, limits: SubmissionLimits, traceparent: str | None = None) -> Submission:
    """The submission in a parsed JSON body; `traceparent` is the request's header, left out when malformed.

    Raises as `Draft.accept` does.
    """
    return read_submission(raw, limits=limits, traceparent=traceparent).accept()


def read_submission(raw: object, *, limits: SubmissionLimits, traceparent: str | None = None) -> Draft:
    """What a parsed JSON body asks for, and its faults."""
    if not isinstance(raw, dict):
        return Draft(None, [Fault("", "wrong-type", "The body must be a JSON object.")])
    faults: list[Fault] = []
    fields = Fields(raw, faults=faults)
    fields.refuse_others(known=_FIELDS)
    fields.require("type")
    submission = Submission(
        type=fields.name("type") or "",
        payload=_read_payload(fields, limits),
        payload_value=raw.get("payload"),
        **read_due(fields),
        start_deadline_seconds=fields.integer("start_deadline_seconds", low=1, high=HORIZON_SECONDS),
        **read_options(fields),
        concurrency_key=_read_key(fields, "concurrency_key"),
        tags=read_tags(fields),
        callback_url=read_url(fields, "callback_url"),
        metadata=_read_metadata(fields),
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
        unique=read_unique(fields),
    )
    if submission.type == HTTP_REQUEST:
        faults += _http_request_faults(raw.get("payload"))
    return Draft(submission, faults)


def _read_payload(fields: Fields, limits: SubmissionLimits) -> bytes:
    payload = fields.json("payload") or b"null"
    if len(payload) > limits.payload_bytes:
        detail = f"The payload has {len(payload)} bytes; at most {limits.payload_bytes} are allowed."
        fields.refuse("payload", PayloadTooLarge.code, detail)
    return payload


def check_payload_of(type_name: str, value: object, *, limits: SubmissionLimits) -> bytes:
    """The compact JSON of a payload that a job of this type may have, its schema apart.

    Raises as `Draft.accept` does.
    """
    faults: list[Fault] = []
    payload = _read_payload(Fields({"payload": value}, faults=faults), limits)
    if type_name == HTTP_REQUEST:
        faults += _http_request_faults(value)
    return Draft(Submission(type_name, payload), faults).accept().payload


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


def _read_key(fields: Fields, name: str) -> str | None:
    key = fields.text(name, max_characters=MAX_KEY_CHARACTERS)
    if key == "":
        fields.refuse(name, "out-of-range", "A key must have at least one character.")
    return key


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
