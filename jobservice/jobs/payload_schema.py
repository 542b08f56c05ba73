"""Whether a job's payload keeps to the payload schemas of its type.

A schema may hold examples and is shown to whoever may read types, so it is stored in the clear. Compiled schemas are
kept per process by the type's row and version. See schema_compiling and schema_document for what may be a schema,
schema_engine for how a check ends in time, schema_meter and schema_prices for what it may cost, and schema_faults for
what the client is told.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from jobservice.errors import Conflict, Fault, Invalid, JobserviceError
from jobservice.jobs.models import JobType
from jobservice.jobs.schema_compiling import compile_schema
from jobservice.jobs.schema_document import SchemaDocument, SchemaRefused
from jobservice.jobs.schema_engine import SchemaEngine
from jobservice.jobs.schema_faults import find_faults
from jobservice.jobs.schema_meter import Meter, TooComplex
from tenants.context import tenant_tx

# Processor seconds that a check may cost: for each payload, for each of its bytes, and once more for all of a request.
SECONDS_PER_PAYLOAD = 0.001
SECONDS_PER_BYTE = 0.008 / 1024**2
SPARE_SECONDS = 0.03

_MAX_CACHED = 500
# What a subschema takes when it is compiled, at most, measured; patterns take their sizes besides.
_SUBSCHEMA_BYTES = 10_000
_MAX_CACHED_BYTES = 64 * 1024**2
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


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
        return Meter(seconds=_own_seconds(payload_bytes) + self._spare, payload_bytes=payload_bytes)

    def settle(self, meter: Meter, payload_bytes: int) -> None:
        """Take from the others what a check has used beyond its own."""
        self._spare -= max(0.0, min(self._spare, meter.used_seconds - _own_seconds(payload_bytes)))


def check_payload(job_type: TypeWithSchemas, value: object, *, text: bytes, time: CheckTime) -> JobserviceError | None:
    """Why the payload may not be one of the type's; None when it may. Costs next to nothing without a schema.

    `text` is the JSON of the value.
    """
    if not job_type.schemas:
        return None
    try:
        engines = [_find_engine(key) for key in job_type.schemas]
    except SchemaRefused:
        return Conflict("The type's payload_schema is none that this version of the service takes; put it again.")
    meter = time.meter(len(text))
    try:
        for engine in engines:
            if faults := _check(engine, value, text, meter):
                return Invalid(faults)
    except TooComplex:
        detail = "To check it against its type's schema takes too long; send less, or simplify the schema."
        return Invalid([Fault("/payload", "too-complex", detail)])
    finally:
        time.settle(meter, len(text))
    return None


def keep_handler_schema(name: str, engine: SchemaEngine) -> None:
    """Keep the compiled schema of an operator's handler for as long as the process lives."""
    _of_handlers[name] = engine


def _check(engine: SchemaEngine, value: object, text: bytes, meter: Meter) -> list[Fault]:
    if engine.document.has_unique_items and _LONG_NUMBER.search(text) and _has_long_integer(text):
        # The validator compares each two of them, and that is not to be interrupted.
        detail = "Where a schema asks for unique items, integers must be between -2^63 and 2^63-1."
        return [Fault("/payload", "out-of-range", detail)]
    if engine.fits(value, meter=meter):
        return []
    return find_faults(engine, value, pointer="/payload", meter=meter)


def _own_seconds(payload_bytes: int) -> float:
    return SECONDS_PER_PAYLOAD + SECONDS_PER_BYTE * payload_bytes


def _has_long_integer(text: bytes) -> bool:
    found = False

    def note(digits: str) -> int:
        nonlocal found
        # Longer ones are long by their length alone, and slow to read.
        found = found or len(digits) > 20 or not _MIN_INTEGER <= int(digits) <= _MAX_INTEGER
        return 0

    json.loads(text, parse_int=note)
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
    engine = compile_schema(schema)
    _cache.keep(key, engine, _memory(engine.document))
    return engine


def _memory(document: SchemaDocument) -> int:
    return len(document.rows) * _SUBSCHEMA_BYTES + document.pattern_bytes
