"""The last resort of a stop: when the broker, the database or Celery holds it up, the process ends all the same."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from jobservice.logs import log_event
from workers.stop_flag import StopFlag

# After the grace: what an ordered stop needs to write down, then what a rescue may take. Within 5 s altogether, when
# whoever supervises the process kills it.
ORDERED_SECONDS = 1.5
RESCUE_SECONDS = 2.5
EXIT_STATUS = 1


def _nothing() -> None:
    return None


class StopLimit:
    """From when the flag is set, the process has its grace and a moment; then `rescue` gives back what is still held.

    `rescue` runs beside whatever hangs, and has a time of its own.
    """

    def __init__(self, flag: StopFlag, *, grace_seconds: float, rescue: Callable[[], None] = _nothing) -> None:
        self._flag = flag
        self._grace_seconds = grace_seconds
        self._rescue = rescue

    def start(self) -> None:
        threading.Thread(target=self._run, name="stop-limit", daemon=True).start()

    def _run(self) -> None:
        self._flag.wait()
        time.sleep(self._grace_seconds + ORDERED_SECONDS)
        log_event("stop_overran", level="error", pid=os.getpid())
        rescuer = threading.Thread(target=self._rescue, name="stop-rescue", daemon=True)
        rescuer.start()
        rescuer.join(RESCUE_SECONDS)
        os._exit(EXIT_STATUS)
