"""When a key was last used is written after the answer has gone, and at most once a minute for each key."""

from __future__ import annotations

import threading
from typing import Any

from django.core.signals import request_finished
from django.db import Error, close_old_connections, connection

from jobservice.logs import log_event
from tenants.api_keys import Credential, note_use

# The server ends a request on the thread that answered it.
_thread = threading.local()


def note_use_after_answer(credential: Credential) -> None:
    """Remember to write it when the request of this thread is over."""
    if credential.is_use_unnoted:
        _thread.unnoted = credential


def _write(**_kwargs: Any) -> None:
    credential: Credential | None = getattr(_thread, "unnoted", None)
    if credential is None:
        return
    _thread.unnoted = None
    try:
        note_use(credential.tenant_id, credential.key_id)
    except Error as error:
        # The answer is out; the next use is noted instead.
        log_event("key_use_not_noted", level="warning", error_class=type(error).__name__)
    finally:
        # Django gave the request's connection back before this; so is the one just used. A test's stays.
        if not connection.in_atomic_block:
            close_old_connections()


request_finished.connect(_write)
