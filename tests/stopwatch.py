"""How long something took, with and without the moments in which the whole machine stood still."""

from __future__ import annotations

import threading
import time
from types import TracebackType

TICK_SECONDS = 0.02
LATE_SECONDS = 0.1


class Stopwatch:
    """Measures its block: `with Stopwatch() as watch: ...`, while it runs and after.

    A thread that only sleeps tells when nothing could run: it wakes late. A bound on how long somebody *waits* for code
    that is right is then none on the machine. It is no measure of work in the same process: what holds the interpreter
    is late itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._began = self._slept = time.monotonic()
        self._still = 0.0
        self._ended: tuple[float, float] | None = None
        self._ticking = threading.Thread(target=self._tick, name="stopwatch", daemon=True)

    def __enter__(self) -> Stopwatch:
        self._ticking.start()
        with self._lock:
            self._began = self._slept = time.monotonic()
            self._still = 0.0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = self._read()
        self._over.set()
        self._ticking.join()

    @property
    def seconds(self) -> float:
        """What a clock on the wall says: for what must not be over too soon."""
        return (self._ended or self._read())[0]

    @property
    def moving_seconds(self) -> float:
        """The same without what the machine stood still for: for what must not take too long."""
        return (self._ended or self._read())[1]

    def _read(self) -> tuple[float, float]:
        with self._lock:
            now = time.monotonic()
            # Whoever reads may be awake again before the ticking thread is.
            return now - self._began, now - self._began - self._still - self._lateness(now)

    def _lateness(self, now: float) -> float:
        late = now - self._slept - TICK_SECONDS
        return late if late > LATE_SECONDS else 0.0

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            with self._lock:
                now = time.monotonic()
                self._still += self._lateness(now)
                self._slept = now
