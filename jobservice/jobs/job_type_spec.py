"""What a tenant may say about a job type: the checked form of a PUT's body. No HTTP, no database."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import Fields, compact_json, refusal
from jobservice.jobs.options import OPTION_FIELDS, read_options
from jobservice.jobs.schema_compiling import Schema, compile_schema
from jobservice.jobs.schema_document import SchemaRefused
from jobservice.target_fields import read_headers, read_url
from jobservice.webhooks.signing_choice import DEFAULT_SIGNING, Signing, read_signing

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
    """A job type as it was asked for. `http` is set for the http executor, `handler` for the handler executor.

    `signing` is how its calls are signed, and the default for an executor that makes none.
    """

    executor: str
    http: HttpTarget | None
    handler: str | None
    defaults: dict[str, Any]
    payload_schema: Schema | None = None
    on_crash: str = "retry"
    signing: Signing = field(default_factory=lambda: DEFAULT_SIGNING)


def parse_job_type(raw: object, *, handlers: Collection[str]) -> JobTypeSpec:
    """The specification in a parsed JSON body; `handlers` are the names the operator installed.

    Raises `Invalid` with every fault, or `EgressRefused` when the URL is the only one.
    """
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    faults: list[Fault] = []
    fields = Fields(raw, faults=faults)
    fields.refuse_others(known=_FIELDS)
    executor = _read_executor(fields)
    http, signing = _read_http(fields)
    spec = JobTypeSpec(
        executor=executor,
        http=http,
        handler=_read_handler(fields, handlers),
        defaults=_read_defaults(fields),
        payload_schema=_read_payload_schema(fields),
        on_crash=fields.choice("on_crash", ("retry", "discard")) or "retry",
        signing=signing,
    )
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


def _read_http(fields: Fields) -> tuple[HttpTarget | None, Signing]:
    http = fields.fields("http")
    if http is None:
        return None, DEFAULT_SIGNING
    http.refuse_others(known=frozenset({"url", "headers", "signing"}))
    http.require("url")
    url = read_url(http, "url")
    # A type is replaced as a whole, so what is shown of it can be sent back.
    signing = read_signing(http, "signing", is_shown_too=True) or DEFAULT_SIGNING
    return HttpTarget(url=url or "", headers=read_headers(http, "headers")), signing


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
