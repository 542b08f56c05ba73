"""Payload schemas of job types: whether one may be stored, and whether a job's payload keeps to its type's.

A schema may hold examples and is shown to whoever may read types, so it is stored in the clear. Compiled schemas are
kept per process by the type's row and version. See schema_document for what a schema may be, schema_engine for how a
check ends in time, and schema_faults for what its author is told.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from jsonschema_rs import Draft202012Validator, ValidationError

from jobservice.errors import Conflict, Fault, Invalid, JobserviceError
from jobservice.jobs.field_checks import compact_json
from jobservice.jobs.models import JobType
from jobservice.jobs.schema_document import SCHEMA_URI, SchemaDocument, SchemaRefused, escape, read_document
from jobservice.jobs.schema_engine import Meter, SchemaEngine, TooComplex
from jobservice.jobs.schema_faults import find_faults
from tenants.context import tenant_tx

Schema = dict[str, Any] | bool

MAX_SCHEMA_BYTES = 64 * 1024
# Processor seconds that a check may cost: for each payload, for each of its bytes, and once more for all of a request.
SECONDS_PER_PAYLOAD = 0.001
SECONDS_PER_BYTE = 0.07 / 1024**2
SPARE_SECONDS = 0.03

_MAX_CACHED = 500
# Compiled schemas take about this many times their text, and their patterns' sizes besides.
_COMPILED_FACTOR = 20
_MAX_CACHED_BYTES = 64 * 1024**2
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
# A NUL as JSON writes it: \u0000 after an even number of backslashes.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class HandlerSchema:
    """Names the schema of an operator's handler."""

    handler: str


@dataclass(frozen=True, slots=True)
class TypeSchema:
    """Names the schema of a version of a tenant's type. A type that is deleted and made anew has another id."""

    tenant_id: UUID
    type_id: UUID
    version: int


SchemaKey = HandlerSchema | TypeSchema


class TypeWithSchemas(Protocol):
    """The schemas that the payloads of a type must keep to, all of them."""

    @property
    def schemas(self) -> Collection[SchemaKey]: ...


class CheckTime:
    """The time that the checks of one request share: each has its own, and what one needs beyond is taken once."""

    def __init__(self) -> None:
        self._spare = SPARE_SECONDS

    def meter(self, payload_bytes: int) -> Meter:
        """The meter of one payload's check."""
        return Meter(seconds=_own_seconds(payload_bytes) + self._spare)

    def settle(self, meter: Meter, payload_bytes: int) -> None:
        """Take from the others what a check has used beyond its own."""
        self._spare -= max(0.0, min(self._spare, meter.used_seconds - _own_seconds(payload_bytes)))


def read_payload_schema(raw: object) -> tuple[SchemaEngine | None, list[Fault]]:
    """The compiled schema, or why it may not be one: faults with pointers into the schema."""
    try:
        return _compile(raw), []
    except SchemaRefused as refused:
        return None, [refused.fault]


def check_payload(job_type: TypeWithSchemas, payload: bytes, *, time: CheckTime) -> JobserviceError | None:
    """Why the payload may not be one of the type's; None when it may. Costs next to nothing without a schema."""
    if not job_type.schemas:
        return None
    value = json.loads(payload)
    meter = time.meter(len(payload))
    try:
        for key in job_type.schemas:
            if faults := _check(_find_engine(key), value, payload, meter):
                return Invalid(faults)
    except TooComplex:
        detail = "To check it against its type's schema takes too long; send less, or simplify the schema."
        return Invalid([Fault("/payload", "too-complex", detail)])
    except SchemaRefused:
        return Conflict("The type's payload_schema is none that this version of the service takes; put it again.")
    finally:
        time.settle(meter, len(payload))
    return None


def keep_handler_schema(name: str, engine: SchemaEngine) -> None:
    """Keep the compiled schema of an operator's handler for as long as the process lives."""
    _of_handlers[name] = engine


def _check(engine: SchemaEngine, value: object, payload: bytes, meter: Meter) -> list[Fault]:
    if engine.document.has_unique_items and _LONG_NUMBER.search(payload) and _has_long_integer(payload):
        # The validator compares each two of them, and that is not to be interrupted.
        detail = "Where a schema asks for unique items, integers must be between -2^63 and 2^63-1."
        return [Fault("/payload", "out-of-range", detail)]
    if engine.fits(value, meter=meter):
        return []
    return find_faults(engine, value, pointer="/payload", meter=meter)


def _compile(raw: object) -> SchemaEngine:
    if not isinstance(raw, dict | bool):
        raise SchemaRefused("", "wrong-type", "A schema must be an object or a boolean.")
    _check_text(raw)
    if isinstance(raw, dict) and raw.get("$schema", SCHEMA_URI) not in (SCHEMA_URI, f"{SCHEMA_URI}#"):
        raise SchemaRefused("/$schema", "not-supported", f"The only dialect is {SCHEMA_URI}.")
    try:
        _meta_schema().validate(raw)
    except ValidationError as error:
        pointer = "".join(f"/{escape(str(part)[:200])}" for part in error.instance_path)
        detail = f"It breaks the rule of JSON Schema 2020-12 for {error.schema_path[-1]}."
        raise SchemaRefused(pointer, "bad-format", detail) from None
    document = read_document(raw)
    try:
        return SchemaEngine(document)
    except ValueError:
        raise SchemaRefused("", "bad-format", "The validator does not take this schema.") from None


def _check_text(raw: Schema) -> None:
    try:
        text = compact_json(raw)
    except (ValueError, TypeError, RecursionError):
        raise SchemaRefused("", "bad-format", "It has a value that JSON cannot hold, or is nested too deep.") from None
    if len(text) > MAX_SCHEMA_BYTES:
        raise SchemaRefused("", "too-long", f"A schema may have at most {MAX_SCHEMA_BYTES} bytes of JSON.")
    if _NUL.search(text):
        raise SchemaRefused("", "bad-format", "It has a character that cannot be stored.")


@lru_cache(maxsize=1)
def _meta_schema() -> Draft202012Validator:
    # By reference, so that the document is a value here and its own $schema is not followed.
    return Draft202012Validator({"$ref": SCHEMA_URI}, offline=True)


def _own_seconds(payload_bytes: int) -> float:
    return SECONDS_PER_PAYLOAD + SECONDS_PER_BYTE * payload_bytes


def _has_long_integer(payload: bytes) -> bool:
    found = False

    def note(text: str) -> int:
        nonlocal found
        # Longer ones are long by their length alone, and slow to read.
        found = found or len(text) > 20 or not _MIN_INTEGER <= int(text) <= _MAX_INTEGER
        return 0

    json.loads(payload, parse_int=note)
    return found


_of_handlers: dict[str, SchemaEngine] = {}


class _EngineCache:
    """The schemas used last, bounded in number and memory. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: OrderedDict[TypeSchema, tuple[SchemaEngine, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: TypeSchema) -> SchemaEngine | None:
        with self._lock:
            if key not in self._engines:
                return None
            self._engines.move_to_end(key)
            return self._engines[key][0]

    def keep(self, key: TypeSchema, engine: SchemaEngine, size: int) -> None:
        with self._lock:
            _, replaced = self._engines.pop(key, (None, 0))
            self._engines[key] = (engine, size)
            self._bytes += size - replaced
            while len(self._engines) > _MAX_CACHED or self._bytes > _MAX_CACHED_BYTES:
                _, (_, dropped) = self._engines.popitem(last=False)
                self._bytes -= dropped


_cache = _EngineCache()


def _find_engine(key: SchemaKey) -> SchemaEngine:
    if isinstance(key, HandlerSchema):
        return _of_handlers[key.handler]
    return _cache.get(key) or _load(key)


def _load(key: TypeSchema) -> SchemaEngine:
    with tenant_tx(key.tenant_id):
        row = JobType.objects.filter(tenant_id=key.tenant_id, id=key.type_id).only("payload_schema").first()
    # Whoever changes or deletes the type at this moment decides what its next jobs must keep to.
    schema = True if row is None or row.payload_schema is None else row.payload_schema
    engine = _compile(schema)
    _cache.keep(key, engine, _memory(engine.document, schema))
    return engine


def _memory(document: SchemaDocument, schema: object) -> int:
    return len(compact_json(schema)) * _COMPILED_FACTOR + document.pattern_bytes + 4096
