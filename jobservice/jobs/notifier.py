"""Tells other processes after a commit: one thread per process on its own connection, at most one NOTIFY per 20 ms
and channel. Who listens: the dispatcher for work, and each web process for the ends that its clients wait for.

Never inside the transaction that accepts or records: NOTIFY takes one lock for the whole database cluster at commit.
A lost wake-up costs a moment, for everyone who listens also looks each second.
"""

from __future__ import annotations

import os
import threading
import time

import psycopg

from jobservice.crash_points import crash_point
from jobservice.database import connect_alone
from jobservice.logs import log_event

CHANNEL = "jobservice_work"
ENDS_CHANNEL = "jobservice_ends"
QUIET_SECONDS = 0.02
_RECONNECT_SECONDS = 1.0


class _Notifier(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="notifier", daemon=True)
        self._has_news = threading.Event()
        self._is_wanted = {CHANNEL: False, ENDS_CHANNEL: False}

    def wake(self, channel: str) -> None:
        # In this order, as `_serve` does it the other way round: a wish is seen now or in the next round.
        self._is_wanted[channel] = True
        self._has_news.set()

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
            self._has_news.wait()
            self._has_news.clear()
            for channel, is_wanted in self._is_wanted.items():
                if is_wanted:
                    self._is_wanted[channel] = False
                    crash_point("notify.before_send")
                    connection.execute(f"NOTIFY {channel}")
            time.sleep(QUIET_SECONDS)


_lock = threading.Lock()
_notifier: _Notifier | None = None


def wake_dispatcher() -> None:
    """Ask for a NOTIFY to the dispatchers soon; never blocks."""
    _wake(CHANNEL)


def wake_waiters() -> None:
    """Ask for a NOTIFY to those who wait for the end of a job; never blocks."""
    _wake(ENDS_CHANNEL)


def _wake(channel: str) -> None:
    """The thread starts on first use, once per process."""
    global _notifier
    notifier = _notifier
    if notifier is None:
        with _lock:
            notifier = _notifier or _Notifier()
            if _notifier is None:
                notifier.start()
                _notifier = notifier
    notifier.wake(channel)


def _forget_after_fork() -> None:
    """Threads do not survive a fork, and the lock may have been held by one."""
    global _notifier, _lock
    _notifier = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
