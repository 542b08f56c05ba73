"""The handlers that the operator installed, as job types see them: their names, defaults and payload schemas."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings

from jobservice.env import ConfigurationError
from jobservice.errors import Fault
from jobservice.field_checks import Fields
from jobservice.handlers import builtin as _builtin  # noqa: F401 (registers echo, sleep and fail)
from jobservice.handlers.registry import find_handler, handler_names, load_handlers
from jobservice.jobs.options import OPTION_FIELDS, read_options
from jobservice.jobs.payload_schema import HandlerSchema, SchemaKey, keep_handler_schema
from jobservice.jobs.schema_compiling import Schema, compile_schema
from jobservice.jobs.schema_document import SchemaRefused


def load_operator_handlers() -> None:
    """Import the handlers and compile their schemas now rather than in a request. Raises `ConfigurationError`."""
    installed_handlers()


@lru_cache(maxsize=1)
def installed_handlers() -> frozenset[str]:
    """The names, the built-in ones included."""
    load_handlers(settings.ENVIRONMENT.handlers)
    for name in handler_names():
        _check_defaults(name)
        _compile_schema(name)
    return frozenset(handler_names())


def handler_defaults(name: str | None) -> dict[str, Any]:
    """The options that the jobs of a handler have unless they or their type say otherwise."""
    handler = find_handler(name) if name else None
    if handler is None:
        return {}
    known = {option: getattr(handler, option) for option in sorted(OPTION_FIELDS)}
    return {option: value for option, value in known.items() if value is not None}


def handler_schema(name: str | None) -> Schema | None:
    """What the payloads of a handler must keep to; None for anything."""
    handler = find_handler(name) if name else None
    return None if handler is None else handler.payload_schema


def handler_schema_keys(name: str | None) -> tuple[SchemaKey, ...]:
    """The name of the handler's schema, if it has one."""
    return () if name is None or handler_schema(name) is None else (HandlerSchema(name),)


def _check_defaults(name: str) -> None:
    """By the rules of a job type's defaults, which the decorator does not know."""
    faults: list[Fault] = []
    read_options(Fields(handler_defaults(name), faults=faults))
    if faults:
        raise ConfigurationError(
            f"The handler {name} has a default that cannot be used: {faults[0].pointer}: {faults[0].detail}"
        )


def _compile_schema(name: str) -> None:
    schema = handler_schema(name)
    if schema is None:
        return
    try:
        keep_handler_schema(name, compile_schema(schema))
    except SchemaRefused as refused:
        place = f"{refused.fault.pointer}: " if refused.fault.pointer else ""
        raise ConfigurationError(
            f"The payload_schema of the handler {name} cannot be used: {place}{refused.fault.detail}"
        ) from None
