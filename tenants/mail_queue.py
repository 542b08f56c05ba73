"""The mails of a process wait here and go one after another, in a thread of their own: a slow mail server holds up no
request, and however many are asked for, there is one thread and a bounded number that wait. What a server could not
take just now is tried again later, behind others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from queue import Empty, Full, Queue

from django.db import connection

from jobservice.logs import log_event

LIMIT = 100
# From one try to the next: a server that restarts is back by then, and links are good for an hour at least.
DELAYS_SECONDS: tuple[float, ...] = (10.0, 60.0, 300.0, 900.0)

Act = Callable[[], None]


class TryLater(Exception):
    """What could not be done just now; `again` does it. `cause` is the class of the fault."""

    def __init__(self, again: Act, *, cause: str) -> None:
        super().__init__()
        self.again = again
        self.cause = cause


@dataclass(frozen=True, slots=True, order=True)
class _Postponed:
    """`due` is of the monotonic clock."""

    due: float
    tries: int
    act: Act = field(compare=False)


_waiting: Queue[Act] = Queue(LIMIT)
# Of the thread only.
_postponed: list[_Postponed] = []
_starting = threading.Lock()
_thread: threading.Thread | None = None


def send_later(act: Act) -> None:
    """Do it when its turn comes. When too many wait it is dropped, and the log says so: the caller learns nothing, for
    an answer must not tell whether there was something to send. What waits when the process ends is lost.
    """
    try:
        _waiting.put_nowait(act)
    except Full:
        log_event("mail_dropped", level="error")
        return
    _start_once()


def _start_once() -> None:
    global _thread
    with _starting:
        # None of a parent's threads lives on in a child.
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_serve, name="mail", daemon=True)
            _thread.start()


def _serve() -> None:
    while True:
        if _postponed and _postponed[0].due <= time.monotonic():
            again = heappop(_postponed)
            _do(again.act, tries=again.tries)
            continue
        try:
            act = _waiting.get(timeout=max(0.0, _postponed[0].due - time.monotonic()) if _postponed else None)
        except Empty:
            continue
        try:
            _do(act, tries=0)
        finally:
            _waiting.task_done()


def _do(act: Act, *, tries: int) -> None:
    """Whatever comes of it, those behind it are to be sent."""
    try:
        act()
    except TryLater as later:
        _postpone(later, tries)
    except Exception as error:  # noqa: BLE001
        log_event("mail_failed", level="error", error_class=type(error).__name__)
    finally:
        connection.close()


def _postpone(later: TryLater, tries: int) -> None:
    if tries >= len(DELAYS_SECONDS) or len(_postponed) >= LIMIT:
        log_event("mail_failed", level="error", error_class=later.cause)
        return
    log_event("mail_postponed", level="warning", error_class=later.cause)
    heappush(_postponed, _Postponed(time.monotonic() + DELAYS_SECONDS[tries], tries + 1, later.again))
