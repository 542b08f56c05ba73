"""Whether this web process is about to end: its probe says so, and whoever sends it requests should stop."""

from __future__ import annotations

import threading

_is_draining = threading.Event()


def begin_draining() -> None:
    """For good. Only sets a flag that nobody waits for: safe in a signal handler."""
    _is_draining.set()


def is_draining() -> bool:
    return _is_draining.is_set()
