"""The two Celery tasks. They open the message and hand its references to whatever this process runs them with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

from celery import signals
from django.conf import settings

from jobservice.celery import app
from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import MessageKey, MessageRefused, Ref, decode_message, load_message_key
from jobservice.logs import log_event

Kind = Literal["jobs", "deliveries"]
Taker = Callable[[Sequence[Ref]], None]

_takers: dict[Kind, Taker] = {}


def take_messages(*, jobs: Taker, deliveries: Taker | None = None) -> None:
    """Say who takes what comes in. Called by the worker command, before Celery starts."""
    _takers["jobs"] = jobs
    if deliveries is not None:
        _takers["deliveries"] = deliveries


@app.task(name="run_jobs")
def run_jobs(message: object) -> None:
    """Start and run the jobs a message names."""
    _take("jobs", message)


@app.task(name="send_deliveries")
def send_deliveries(message: object) -> None:
    """Start and send the deliveries a message names."""
    _take("deliveries", message)


@lru_cache(maxsize=1)
def message_key() -> MessageKey:
    """The message key of this process. Raises `ConfigurationError`."""
    return load_message_key(settings.ENVIRONMENT.message_key_file)


def _take(kind: Kind, payload: object) -> None:
    """A message is a hint: one that is not ours, not whole or not for this process is dropped and counted."""
    try:
        message = decode_message(payload, message_key())
    except MessageRefused as refusal:
        log_event("message_refused", level="warning", reason=refusal.reason)
        return
    taker = _takers.get(kind)
    if message.kind != kind or taker is None:
        log_event("message_refused", level="warning", reason="wrong-kind")
        return
    crash_point("message.taken")
    taker(message.refs)


def _refuse_other_workers(**_: Any) -> None:
    """A worker that `manage.py worker` did not set up would drop every message it takes."""
    if not _takers:
        sys.stderr.write("Start workers with `manage.py worker handlers` or `manage.py worker egress`.\n")
        raise SystemExit(2)


signals.worker_init.connect(_refuse_other_workers, weak=False)
