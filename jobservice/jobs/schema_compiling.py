"""Whether a document may be a payload schema: its dialect, its size, its meta-schema, and what it would cost."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from jobservice.field_checks import compact_json
from jobservice.jobs.schema_document import SCHEMA_URI, SchemaRefused, escape, read_document
from jobservice.jobs.schema_engine import SchemaEngine

Schema = dict[str, Any] | bool

MAX_SCHEMA_BYTES = 64 * 1024
# A NUL as JSON writes it: \u0000 after an even number of backslashes.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def compile_schema(raw: object) -> SchemaEngine:
    """The compiled schema. Raises `SchemaRefused` with a pointer into it."""
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
