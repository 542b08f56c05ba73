"""Payloads held against schemas, as tests say it, and schemas made to cost much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobservice.errors import Fault, Invalid, JobserviceError
from jobservice.jobs.payload_schema import CheckTime, HandlerSchema, check_payload, keep_handler_schema
from jobservice.jobs.schema_compiling import compile_schema
from jobservice.jobs.schema_document import SchemaRefused

BIG = int("9" * 4300)


class HandlerOfATest:
    schemas = (HandlerSchema("of-a-test"),)


def check(schema: Any, payload: Any) -> list[Fault]:
    """The faults of the payload, none when it fits."""
    keep_handler_schema("of-a-test", compile_schema(schema))
    refusal = check_once(payload)
    if refusal is None:
        return []
    assert isinstance(refusal, Invalid)
    return refusal.faults


def check_once(payload: Any, shared: CheckTime | None = None) -> JobserviceError | None:
    text = json.dumps(payload, separators=(",", ":")).encode()
    return check_payload(HandlerOfATest(), payload, text=text, time=shared or CheckTime())


def told(schema: Any, payload: Any) -> set[tuple[str, str]]:
    """Pointer and code of each fault."""
    return {(fault.pointer, fault.code) for fault in check(schema, payload)}


def refused(schema: Any) -> tuple[str, str]:
    """Pointer and code of why the schema may not be one."""
    with pytest.raises(SchemaRefused) as caught:
        compile_schema(schema)
    assert caught.value.fault.detail
    return caught.value.fault.pointer, caught.value.fault.code


def chain(wrap: Any, length: int, last: Any = True) -> dict[str, Any]:
    """Definitions of which each refers to the next, through `wrap`."""
    steps = {f"a{at}": wrap({"$ref": f"#/$defs/a{at + 1}"}) for at in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": {**steps, f"a{length}": last}}


def nested(depth: int, *, width: int = 0) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value, *range(width)]
    return value
