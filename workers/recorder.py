"""Writes finished things in groups, on a thread of its own: a short wait gathers those that end close together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connection

from jobservice.database import is_database_away
from jobservice.logs import log_event

T = TypeVar("T")

_RETRY_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class _Added(Generic[T]):
    item: T
    at: float  # monotonic seconds


class Recorder(Generic[T]):
    """`write` gets the items in order, at most `max_group` at a time, `linger_seconds` after the first was added.

    While the database is away (`is_database_away`) a group is tried again until its items are `keep_seconds` old; then
    they are dropped, counted in the log. Any other error drops the group at once.
    """

    def __init__(
        self,
        write: Callable[[list[T]], None],
        *,
        linger_seconds: float = 0.003,
        max_group: int = 200,
        keep_seconds: float = 0.0,
    ) -> None:
        self._write = write
        self._linger_seconds = linger_seconds
        self._max_group = max_group
        self._keep_seconds = keep_seconds
        self._queue: list[_Added[T]] = []
        self._is_busy = False
        self._is_hurried = False
        self._is_stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def add(self, item: T) -> None:
        """Hand over an item; never blocks on the database."""
        with self._changed:
            self._queue.append(_Added(item, time.monotonic()))
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was added is written or dropped. False when that took longer than `timeout` seconds."""
        with self._changed:
            self._is_hurried = bool(self._queue)
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._queue and not self._is_busy, timeout)

    def stop(self, timeout: float) -> bool:
        """Flush, then end the thread. False when not all was written in `timeout` seconds."""
        is_written = self.flush(timeout)
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        self._thread.join(_RETRY_SECONDS if is_written else 0)
        return is_written

    def _run(self) -> None:
        try:
            while group := self._next_group():
                self._write_group(group)
                with self._changed:
                    self._is_busy = False
                    self._changed.notify_all()
        finally:
            connection.close()

    def _next_group(self) -> list[_Added[T]]:
        """The next items to write; none when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_stopping)
            if self._is_stopping:
                return []
            self._changed.wait_for(self._is_due, self._linger_seconds)
            group, self._queue = self._queue[: self._max_group], self._queue[self._max_group :]
            self._is_hurried = self._is_hurried and bool(self._queue)
            self._is_busy = True
            return group

    def _is_due(self) -> bool:
        return self._is_hurried or self._is_stopping or len(self._queue) >= self._max_group

    def _write_group(self, group: list[_Added[T]]) -> None:
        while group:
            connection.close_if_unusable_or_obsolete()
            try:
                self._write([added.item for added in group])
                return
            except Exception as error:  # noqa: BLE001 (the thread must outlive a bad item, which its lease ends)
                if not is_database_away(error):
                    _log_failure("record_dropped", error, count=0, lost=len(group))
                    return
                kept = self._still_worth(group)
                _log_failure("record_delayed", error, count=len(kept), lost=len(group) - len(kept))
                group = kept
            self._pause()

    def _still_worth(self, group: list[_Added[T]]) -> list[_Added[T]]:
        now = time.monotonic()
        return [] if self._is_stopping else [added for added in group if now - added.at < self._keep_seconds]

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, _RETRY_SECONDS)


def _log_failure(event: str, error: Exception, *, count: int, lost: int) -> None:
    log_event(event, level="error" if lost else "warning", count=count, lost=lost, error_class=type(error).__name__)
