"""Which handlers exist: a name, a function, and its defaults. Nothing here runs one, and nothing imports Django.

Web processes read the names and the defaults, workers run the functions; both call `load_handlers` once at start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, TypedDict

from jobservice.env import ConfigurationError
from jobservice.handlers.job import Job

ENTRY_POINT_GROUP = "jobservice.handlers"
# A job type that is built in and not run by a handler.
RESERVED_NAMES = frozenset({"http.request"})

HandlerFunction = Callable[[Any, Job], Any]
PayloadSchema = dict[str, Any] | bool


class RetrySettings(TypedDict, total=False):
    """When a failed attempt is tried again: the `retry` object of a job, any part of it."""

    strategy: Literal["exponential", "fixed"]
    initial_seconds: int
    factor: float
    max_seconds: int
    jitter: float
    max_age_seconds: int
    schedule_seconds: list[int]


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_handlers: dict[str, Handler] = {}


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function: called with the payload (parsed JSON) and the `Job`, it returns the result (JSON)."""

    name: str
    run: HandlerFunction
    timeout_seconds: int | None = None
    max_attempts: int | None = None
    payload_schema: PayloadSchema | None = None
    queue: str | None = None
    priority: int | None = None
    retry: RetrySettings | None = None


def handler(
    name: str,
    *,
    timeout_seconds: int | None = None,
    max_attempts: int | None = None,
    queue: str | None = None,
    priority: int | None = None,
    retry: RetrySettings | None = None,
    payload_schema: PayloadSchema | None = None,
) -> Callable[[HandlerFunction], HandlerFunction]:
    """Register the decorated function as the handler, and so as the job type, of this name.

    All but the name are defaults of its jobs: a job, or a tenant's own type over this handler, may say otherwise.
    `payload_schema` is a JSON Schema (2020-12); the web compiles it at its start and refuses jobs that break it. What
    is wrong in `retry` is told at the start too. Raises `ValueError` for a name or another default that no job type
    may have, and for a name taken by another function.
    """
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise ValueError(f"{name!r} cannot name a handler: use a-z, 0-9, '.', '_', '-', and no built-in name.")
    _check_range(name, "timeout_seconds", timeout_seconds, 1, 86400)
    _check_range(name, "max_attempts", max_attempts, 1, 100)
    _check_range(name, "priority", priority, 0, 9)
    if queue is not None and not _NAME.fullmatch(queue):
        raise ValueError(f"The handler {name!r} has queue={queue!r}, which cannot name a queue.")

    def register(function: HandlerFunction) -> HandlerFunction:
        known = _handlers.get(name)
        if known is not None and _origin(known.run) != _origin(function):
            raise ValueError(f"The handler {name!r} is defined twice: in {_origin(known.run)} and {_origin(function)}.")
        _handlers[name] = Handler(name, function, timeout_seconds, max_attempts, payload_schema, queue, priority, retry)
        return function

    return register


def load_handlers(modules: Iterable[str] = ()) -> None:
    """Import the operator's handler modules and those that installed packages name as entry points.

    Raises `ConfigurationError` with one sentence naming the module that cannot be imported. Calling it again is free.
    """
    points = entry_points(group=ENTRY_POINT_GROUP)
    sources = [(name, "JOBSERVICE_HANDLERS") for name in modules]
    sources += [(point.module, f"The entry point {point.name} in {ENTRY_POINT_GROUP}") for point in points]
    for module, source in sources:
        try:
            import_module(module)
        # The operator's own code: whatever goes wrong in it is the operator's to read, in one sentence.
        except Exception as error:
            raise ConfigurationError(
                f"{source}: the module {module} cannot be imported ({type(error).__name__}: {error}); "
                "correct its name, or mend it."
            ) from error


def find_handler(name: str) -> Handler | None:
    """The handler of this name; None when no loaded module has it."""
    return _handlers.get(name)


def find_handler_of(function: HandlerFunction) -> Handler | None:
    """The handler that is this function; None when it is registered under no name."""
    return next((found for found in _handlers.values() if found.run is function), None)


def handler_names() -> list[str]:
    """The names of all loaded handlers, the built-in ones included, in order."""
    return sorted(_handlers)


def _check_range(name: str, setting: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise ValueError(f"The handler {name!r} has {setting}={value}; it must be between {least} and {most}.")


def _origin(function: HandlerFunction) -> str:
    return f"{function.__module__}.{function.__qualname__}"
