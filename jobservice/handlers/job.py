"""What a handler is given besides its payload, and the two exceptions by which it says more than "it failed"."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_LOOK_SECONDS = 0.05


class PermanentFailure(Exception):
    """Raised by a handler: this job can never succeed, so it is not tried again."""


class JobCancelled(Exception):
    """Raised inside a handler that was asked to stop and heeds it; do not catch it without raising it again."""


@dataclass(frozen=True, slots=True)
class Job:
    """The attempt that runs now.

    `id` is the same on every attempt and so a good idempotency key; `epoch` grows with every claim and so is a fence:
    who keeps the highest one it has seen refuses a run that was taken over.
    """

    id: str
    type: str
    attempt: int
    epoch: int
    tags: Mapping[str, str]
    is_cancelled: Callable[[], bool] = field(default=lambda: False, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether this run should end: cancelled, past its timeout, taken over, or the worker stops. Cheap to ask."""
        return self.is_cancelled()

    def stop_if_cancelled(self) -> None:
        """Raise `JobCancelled` when this run should end: for loops that can be left at any turn."""
        if self.cancelled:
            raise JobCancelled("the job was asked to stop")

    def sleep(self, seconds: float) -> None:
        """Wait, but wake and raise `JobCancelled` when this run should end."""
        until = time.monotonic() + seconds
        self.stop_if_cancelled()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            self.stop_if_cancelled()
