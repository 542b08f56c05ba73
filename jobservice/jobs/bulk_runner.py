"""The background of bulk actions: one thread in each web process, which has the rights of the verbs.

It serves one turn of one action after another, of whichever tenant, and looks for work each second, or at once when
this process has made some. When the process stops, it ends after the job in hand and gives its lease back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from jobservice.database import give_back_connection
from jobservice.logs import log_event

POLL_SECONDS = 1.0


class BulkRunner:
    """Started once per process, after the fork.

    `serve_one` takes a turn, unless there is none to take; it is given a look at whether the process stops. It comes
    from outside, because gunicorn imports this before Django is ready.
    """

    def __init__(self, serve_one: Callable[[Callable[[], bool]], bool]) -> None:
        self._serve = serve_one
        self._stopping = threading.Event()
        self._has_news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bulk-runner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look for work now; never blocks."""
        self._has_news.set()

    def stop(self) -> None:
        """Begin nothing more; it ends within a second or so. Only sets a flag: safe in a signal handler."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether it has ended within the time."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._serve_one():
                self._has_news.wait(POLL_SECONDS)
                self._has_news.clear()

    def _serve_one(self) -> bool:
        """Whether something was to be done, and was."""
        try:
            return self._serve(self._stopping.is_set)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one action, the others are served)
            # The lease ends by itself, so that it is tried again later, and given up after some tries.
            log_event("bulk_action_interrupted", level="warning", error_class=type(error).__name__)
            return False
        finally:
            give_back_connection()


_runner: BulkRunner | None = None


def start_bulk_runner(serve_one: Callable[[Callable[[], bool]], bool]) -> None:
    """For a process that serves the API."""
    global _runner
    _runner = BulkRunner(serve_one)
    _runner.start()


def wake_bulk_runner() -> None:
    """Tell this process's runner, if it has one, of a new action; others look each second."""
    if _runner is not None:
        _runner.wake()


def stop_bulk_runner() -> None:
    """Let it end after the job in hand."""
    if _runner is not None:
        _runner.stop()


def await_bulk_runner(timeout: float) -> bool:
    """Whether the runner has ended within the time."""
    return _runner is None or _runner.join(timeout)
