"""Keeps the threads of a forking process out of the database while it forks, and their connections out of its children.

Celery's parent forks a new child whenever one died, at any moment. A thread that holds a lock of some library just then
would leave it locked for ever in the child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

# A hung database call must not hold back the fork for longer than this.
PATIENCE_SECONDS = 0.5

_gate = threading.Lock()
_wrappers: list[Any] = []
_is_held_for_fork = False


@contextmanager
def database_thread() -> Iterator[None]:
    """Wrap the body of a thread that uses the database: registers its connection, and closes it in the end."""
    wrapper = connections["default"]
    _wrappers.append(wrapper)
    try:
        yield
    finally:
        with _gate:
            wrapper.close()
            _wrappers.remove(wrapper)


@contextmanager
def between_forks() -> Iterator[None]:
    """Wrap each use of the database in such a thread: it waits for a fork under way, and a fork waits for it."""
    with _gate:
        connections["default"].close_if_unusable_or_obsolete()
        yield


def drop_inherited_connections() -> None:
    """Call in a new child: close the sockets of its parent's connections without a word to the server."""
    while _wrappers:
        inherited = _wrappers.pop().connection
        if inherited is not None and not inherited.closed:
            os.close(inherited.pgconn.socket)


def _before_fork() -> None:
    global _is_held_for_fork
    _is_held_for_fork = _gate.acquire(timeout=PATIENCE_SECONDS)


def _after_fork_in_parent() -> None:
    if _is_held_for_fork:
        _gate.release()


def _after_fork_in_child() -> None:
    global _gate
    _gate = threading.Lock()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
