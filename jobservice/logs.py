"""Structured logs: the one place where an event becomes a line. Only fields of the allow-list are written.

Domain code emits `log_event("jobs_claimed", count=12)`; a value that is not on the list never reaches a log,
so a payload, a key or an error text cannot slip in by accident.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# fmt: off
ALLOWED_FIELDS = frozenset({
    "event", "level", "timestamp", "logger", "request_id", "tenant_id", "job_id", "event_id", "delivery_id",
    "worker_id", "epoch", "count", "lost", "kept", "state", "outcome", "code", "status", "method", "route",
    "duration_ms", "pid", "pool", "signal", "reason", "child", "attempt", "error_class", "delay_seconds",
    "exit_code", "limit", "budget", "address",
})
# fmt: on

_log = structlog.get_logger("jobservice")


def log_event(event: str, *, level: str = "info", **fields: Any) -> None:
    """Emit one structured event. Fields outside the allow-list are dropped."""
    getattr(_log, level)(event, **fields)


def configure_logs(*, format: str, level: str) -> None:  # noqa: A002 (the setting's own name)
    """Send structured events and every library's log records through one formatter to standard error."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        keep_allowed_fields,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[drop_exception, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("celery", "kombu", "amqp", "django.request", "gunicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def keep_allowed_fields(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what is not on the list; `_record` and `_from_structlog` are structlog's own bookkeeping."""
    return {key: value for key, value in event.items() if key in ALLOWED_FIELDS or key.startswith("_")}


def drop_exception(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace a library's traceback by the class of its exception: texts and locals may hold a tenant's data."""
    record = event.get("_record")
    if record is not None and record.exc_info:
        kind = record.exc_info[0]
        event["error_class"] = kind.__name__ if kind else None
        record.exc_info = None
        record.exc_text = None
    return event
