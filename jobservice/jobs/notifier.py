"""Wakes the dispatcher after a commit: one thread per process on its own connection, at most one NOTIFY per 20 ms.

Never inside the transaction that accepts or records: NOTIFY takes one lock for the whole database cluster at commit.
A lost wake-up costs a moment, for the dispatcher polls each second.
"""

from __future__ import annotations

import os
import threading
import time

import psycopg

from jobservice.database import connect_alone
from jobservice.logs import log_event

CHANNEL = "jobservice_work"
QUIET_SECONDS = 0.02
_RECONNECT_SECONDS = 1.0


class _Notifier(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="notifier", daemon=True)
        self._wanted = threading.Event()

    def wake(self) -> None:
        self._wanted.set()

    def run(self) -> None:
        while True:
            try:
                with connect_alone() as connection:
                    self._serve(connection)
            except psycopg.Error as error:
                log_event("notifier_reconnects", level="warning", error_class=type(error).__name__)
                time.sleep(_RECONNECT_SECONDS)

    def _serve(self, connection: psycopg.Connection) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            connection.execute(f"NOTIFY {CHANNEL}")
            time.sleep(QUIET_SECONDS)


_lock = threading.Lock()
_notifier: _Notifier | None = None


def wake_dispatcher() -> None:
    """Ask for a NOTIFY soon; never blocks. The thread starts on first use, once per process."""
    global _notifier
    notifier = _notifier
    if notifier is None:
        with _lock:
            notifier = _notifier or _Notifier()
            if _notifier is None:
                notifier.start()
                _notifier = notifier
    notifier.wake()


def _forget_after_fork() -> None:
    """Threads do not survive a fork, and the lock may have been held by one."""
    global _notifier, _lock
    _notifier = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
