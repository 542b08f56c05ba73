"""What a tenant may say about a job type: the checked form of a PUT's body. No HTTP, no database."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

from jobservice.egress.headers import check_headers
from jobservice.egress.policy import check_url
from jobservice.errors import EgressRefused, Fault, Invalid
from jobservice.jobs.egress_policy import egress_policy
from jobservice.jobs.field_checks import Fields, compact_json, refusal
from jobservice.jobs.options import OPTION_FIELDS, read_options
from jobservice.jobs.schema_compiling import Schema, compile_schema
from jobservice.jobs.schema_document import SchemaRefused

# Shown in place of every header's value; written back, it would replace the value by itself.
MASK = "***"
MAX_HEADERS = 50
SIGNING = {"scheme": "v1", "own": False}

_FIELDS = frozenset({"executor", "http", "handler", "payload_schema", "defaults", "on_crash"})
_EXECUTORS = ("http", "handler")


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where an http job type is called, and the headers its calls carry. Both may hold credentials."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> bytes:
        """The one document that is sealed."""
        return compact_json({"url": self.url, "headers": self.headers})

    @classmethod
    def from_json(cls, document: bytes) -> HttpTarget:
        """What `to_json` made."""
        content = json.loads(document)
        return cls(url=content["url"], headers=content["headers"])


@dataclass(frozen=True, slots=True)
class JobTypeSpec:
    """A job type as it was asked for. `http` is set for the http executor, `handler` for the handler executor."""

    executor: str
    http: HttpTarget | None
    handler: str | None
    defaults: dict[str, Any]
    payload_schema: Schema | None = None


def parse_job_type(raw: object, *, handlers: Collection[str]) -> JobTypeSpec:
    """The specification in a parsed JSON body; `handlers` are the names the operator installed.

    Raises `Invalid` with every fault, or `EgressRefused` when the URL is the only one.
    """
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    faults: list[Fault] = []
    fields = Fields(raw, faults=faults)
    fields.refuse_others(known=_FIELDS)
    spec = JobTypeSpec(
        executor=_read_executor(fields),
        http=_read_http(fields),
        handler=_read_handler(fields, handlers),
        defaults=_read_defaults(fields),
        payload_schema=_read_payload_schema(fields),
    )
    if fields.choice("on_crash", ("retry", "discard")) == "discard":
        fields.refuse("on_crash", "not-supported", "on_crash discard is not supported yet.")
    if faults:
        raise refusal(faults)
    return spec


def _read_executor(fields: Fields) -> str:
    fields.require("executor")
    executor = fields.choice("executor", (*_EXECUTORS, "pull"))
    if executor == "pull":
        fields.refuse("executor", "not-supported", "The pull executor is not supported yet.")
    for name in _EXECUTORS:
        # The settings of an executor carry its name: exactly the chosen one's are given.
        if executor == name:
            fields.require(name)
        elif executor is not None and fields.raw.get(name) is not None:
            fields.refuse(name, "conflicting-fields", f"{name} is for the {name} executor only.")
    return executor or ""


def _read_http(fields: Fields) -> HttpTarget | None:
    http = fields.fields("http")
    if http is None:
        return None
    http.refuse_others(known=frozenset({"url", "headers", "signing"}))
    http.require("url")
    url = http.text("url", max_characters=2048)
    if url is not None:
        try:
            check_url(url, egress_policy())
        except EgressRefused as error:
            http.refuse("url", error.code, error.detail)
    signing = http.raw.get("signing")
    # Not equality alone: 0 equals false to Python.
    if signing is not None and (signing != SIGNING or type(signing["own"]) is not bool):
        http.refuse("signing", "not-supported", "Signing by anything but the tenant's default secret is not built yet.")
    return HttpTarget(url=url or "", headers=_read_headers(http))


def _read_headers(http: Fields) -> dict[str, str]:
    headers = http.fields("headers")
    if headers is None:
        return {}
    if len(headers.raw) > MAX_HEADERS:
        http.refuse("headers", "too-long", f"There may be at most {MAX_HEADERS} headers.")
        return {}
    values: dict[str, str] = {}
    for name, value in headers.raw.items():
        if not isinstance(value, str):
            headers.refuse(name, "wrong-type", "A header's value must be a string.")
        elif value == MASK:
            headers.refuse(name, "bad-format", "This is how a hidden value is shown; send the value itself.")
        else:
            values[name] = value
    try:
        check_headers(values)
    except EgressRefused as error:
        http.refuse("headers", "bad-format", error.detail)
    return values


def _read_handler(fields: Fields, handlers: Collection[str]) -> str | None:
    name = fields.name("handler")
    if name is not None and name not in handlers:
        fields.refuse("handler", "out-of-range", "There is no handler of this name; the operator installs them.")
    return name


def _read_payload_schema(fields: Fields) -> Schema | None:
    schema = fields.raw.get("payload_schema")
    if schema is None:
        return None
    try:
        compile_schema(schema)
    except SchemaRefused as refused:
        fault = refused.fault
        fields.faults.append(Fault(f"{fields.pointer('payload_schema')}{fault.pointer}", fault.code, fault.detail))
        return None
    return cast(Schema, schema)


def _read_defaults(fields: Fields) -> dict[str, Any]:
    defaults = fields.fields("defaults")
    if defaults is None:
        return {}
    defaults.refuse_others(known=OPTION_FIELDS)
    return read_options(defaults)
