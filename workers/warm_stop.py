"""What the signals of a Celery worker mean: TERM, INT, QUIT and HUP each ask for the same warm stop, once.

Celery's own answers are none of ours. A cold stop, which QUIT, a second INT and `REMAP_SIGTERM` ask for, interrupts a
process in the middle of a commit; HUP starts the program again in place, and waits for the jobs for ever.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from celery import Celery, bootsteps, signals
from celery.worker import state

from workers.stop_flag import StopFlag
from workers.stop_limit import StopLimit

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class WarmStop:
    """One per worker. `rescue` gives back what the process holds, should Celery not come to it in time."""

    def __init__(self, *, grace_seconds: float, rescue: Callable[[], None]) -> None:
        self._flag = StopFlag()
        self._limit = StopLimit(self._flag, grace_seconds=grace_seconds, rescue=rescue)
        self._pid = os.getpid()

    def install(self, app: Celery) -> None:
        """Call once, before Celery starts."""
        own = self

        class TakeSignals(bootsteps.StartStopStep):
            """The first moment after Celery has installed its handlers."""

            def start(self, parent: Any) -> None:
                own.take_signals()

        app.steps["worker"].add(TakeSignals)
        # Before that moment a signal ends the process at once, which holds nothing yet.
        self._limit.start()

    def take_signals(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        """Flags only. A pool process has inherited this handler: its stop is the parent's to direct."""
        if os.getpid() != self._pid or self._flag.is_set():
            return
        self._flag.set()
        state.should_stop = os.EX_OK  # type: ignore[assignment]  # the stubs know only the unset flag
        signals.worker_shutting_down.send(sender=None, sig=signal.Signals(number).name, how="Warm", exitcode=os.EX_OK)
