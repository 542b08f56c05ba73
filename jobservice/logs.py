"""Events: the one place where what happened becomes a line and moves its metrics.

Domain code emits `log_event("jobs_claimed", count=12)`. Only fields of the allow-list are written, so a payload, a key
or an error text cannot slip in by accident. Ids are given as they are and written as people see them.

A job's life is three lines at `info`: `request_answered` and `job_accepted`, which share the request's id, and
`job_ended`. The steps in between (`job_claimed`, `job_started`, `run_recorded`, `delivery_recorded`) are at `debug`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO
from uuid import UUID

import structlog

from jobservice import ids
from jobservice.meters import count_event

# fmt: off
ALLOWED_FIELDS = frozenset({
    "event", "level", "timestamp", "logger", "request_id", "tenant_id", "job_id", "event_id", "delivery_id",
    "worker_id", "epoch", "count", "lost", "kept", "state", "outcome", "code", "status", "method", "route",
    "duration_ms", "pid", "pool", "reason", "child", "attempt", "error_class", "delay_seconds",
    "exit_code", "limit", "address", "executor", "kind", "wait_ms", "latency_ms",
    "bulk_action_id", "skipped", "endpoint_id", "account_id",
})
# fmt: on
_ID_PREFIXES = {
    "tenant_id": ids.TENANT,
    "job_id": ids.JOB,
    "event_id": ids.EVENT,
    "delivery_id": ids.DELIVERY,
    "bulk_action_id": ids.BULK_ACTION,
    "endpoint_id": ids.ENDPOINT,
    "account_id": ids.ACCOUNT,
}

_LOGGER = "jobservice"
_log = structlog.get_logger(_LOGGER)
_is_written = logging.getLogger(_LOGGER).isEnabledFor
_LEVELS = logging.getLevelNamesMapping()


def log_event(event: str, *, level: str = "info", **fields: Any) -> None:
    """Emit one structured event. Fields outside the allow-list are dropped."""
    count_event(event, level, fields)
    # Asked first, because structlog builds the whole line before anybody asks whether it is wanted.
    if _is_written(_LEVELS[level.upper()]):
        getattr(_log, level)(event, **fields)


def configure_logs(*, format: str, level: str) -> None:  # noqa: A002 (the setting's own name)
    """Send structured events and every library's log records through one formatter to standard error."""
    structlog.configure(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [build_handler(sys.stderr, format=format)]
    root.setLevel(level)
    for noisy in ("celery", "kombu", "amqp", "django.request", "gunicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def build_handler(stream: TextIO, *, format: str) -> logging.Handler:  # noqa: A002 (the setting's own name)
    """Writes every record, ours and the libraries', to the stream."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(name_route)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[drop_exception, *_shared_processors()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    return handler


def name_route(record: logging.LogRecord) -> bool:
    """A record about a request names its route: Django would write the path, which may be a link that opens a login,
    and what else a stranger sent. A filter of the handler, so that it is of every logger.
    """
    if (request := getattr(record, "request", None)) is not None:
        match = getattr(request, "resolver_match", None)
        record.msg = "A request was answered with %s: %s"
        record.args = (getattr(record, "status_code", "a fault"), "none" if match is None else match.route)
    return True


def _shared_processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        keep_allowed_fields,
        show_ids,
    ]


def keep_allowed_fields(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what is not on the list; `_record` and `_from_structlog` are structlog's own bookkeeping."""
    return {key: value for key, value in event.items() if key in ALLOWED_FIELDS or key.startswith("_")}


def show_ids(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write ids as the API shows them, so that a line can be found by what a tenant has in hand."""
    for name, value in event.items():
        if isinstance(value, UUID):
            prefix = _ID_PREFIXES.get(name)
            event[name] = ids.show_id(prefix, value) if prefix else str(value)
    return event


def drop_exception(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace a library's traceback by the class of its exception: texts and locals may hold a tenant's data."""
    record = event.get("_record")
    if record is not None and record.exc_info:
        kind = record.exc_info[0]
        event["error_class"] = kind.__name__ if kind else None
        record.exc_info = None
        record.exc_text = None
    return event
