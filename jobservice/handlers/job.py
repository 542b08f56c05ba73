"""What a handler is given besides its payload: who it runs for, whether to go on, and how to say more than "it failed".

A run ends by a return, by a failure (any exception: `PermanentFailure` and `RetryLater` say what follows), or by a
`RunEnded`, which `except Exception` in a handler does not catch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NoReturn, Protocol, get_args

LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
LONGEST_SNOOZE_SECONDS = 366 * 86_400
_LOOK_SECONDS = 0.05


class PermanentFailure(Exception):
    """Raised by a handler: this job can never succeed, so it is not tried again."""


class RetryLater(Exception):
    """Raised by a handler: this attempt failed, and the next one has no chance before `after_seconds` are over.

    The job's own backoff counts too: whichever is longer. More than 24 hours count as 24.
    """

    def __init__(self, message: str = "", *, after_seconds: float) -> None:
        super().__init__(message)
        self.after_seconds = _check_seconds("after_seconds", after_seconds, math.inf)


class RunEnded(BaseException):
    """Ends a run that neither failed nor has a result. Not an `Exception`, so that a handler's own `except Exception`
    lets it through; whoever catches it must raise it again."""


class JobCancelled(RunEnded):
    """The run was asked to stop and heeds it, or the handler cancels its own job, for a `reason`."""

    def __init__(self, message: str = "the job was asked to stop", *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class JobSnoozed(RunEnded):
    """The job is to run again after `seconds`; this run counts as no attempt."""

    def __init__(self, seconds: float) -> None:
        self.seconds = _check_seconds("seconds", seconds, LONGEST_SNOOZE_SECONDS)
        super().__init__(f"the job runs again in {seconds:g} s")


class Reports(Protocol):
    """Who takes what a run reports."""

    def progress(self, percent: float, message: str | None) -> None: ...

    def log(self, text: str, level: LogLevel) -> None: ...


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
    max_attempts: int = 1
    timeout_seconds: float = math.inf
    is_cancelled: Callable[[], bool] = field(default=lambda: False, repr=False)
    reports: Reports | None = field(default=None, repr=False)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _began: float = field(default_factory=time.monotonic, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether this run should end: cancelled, past its timeout, taken over, or the worker stops. Cheap to ask."""
        return self.is_cancelled()

    @property
    def deadline(self) -> datetime:
        """When the time of this attempt is up (UTC); the last instant there is when it has no limit."""
        if math.isinf(self.timeout_seconds):
            return datetime.max.replace(tzinfo=UTC)
        return self.started_at + timedelta(seconds=self.timeout_seconds)

    @property
    def remaining_seconds(self) -> float:
        """How much of this attempt's time is left, by a clock that nobody sets; never below 0."""
        return max(0.0, self._began + self.timeout_seconds - time.monotonic())

    def progress(self, percent: float, message: str | None = None) -> None:
        """Say how far the run is, from 0 to 100, and what it is at. The last word counts; call it as often as you like.

        Raises `ValueError` and `TypeError` for what is no progress. A message is cut to 1,000 characters.
        """
        _check_number("percent", percent)
        if not 0 <= percent <= 100:
            raise ValueError(f"percent is {percent}; it must be between 0 and 100.")
        if message is not None and not isinstance(message, str):
            raise TypeError("message must be a str or None.")
        if self.reports is not None:
            self.reports.progress(percent, message)

    def log(self, text: str, level: LogLevel = "info") -> None:
        """Add a line to the attempt's log, which the tenant reads. Of a long log the newest 64 KiB stay.

        Raises `ValueError` for an unknown level and `TypeError` for what is no text.
        """
        if not isinstance(text, str):
            raise TypeError("text must be a str.")
        if level not in LOG_LEVELS:
            raise ValueError(f"level is {level!r}; it must be one of {', '.join(LOG_LEVELS)}.")
        if self.reports is not None:
            self.reports.log(text, level)

    def stop_if_cancelled(self) -> None:
        """Raise `JobCancelled` when this run should end: for loops that can be left at any turn."""
        if self.cancelled:
            raise JobCancelled

    def sleep(self, seconds: float) -> None:
        """Wait, but wake and raise `JobCancelled` when this run should end."""
        until = time.monotonic() + seconds
        self.stop_if_cancelled()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            self.stop_if_cancelled()

    def snooze(self, seconds: float) -> NoReturn:
        """End this run; the job runs again after that long, and no attempt is counted. Raises `JobSnoozed`."""
        raise JobSnoozed(seconds)

    def cancel(self, reason: str | None = None) -> NoReturn:
        """End this run and its job, as cancelled; the tenant reads the reason. Raises `JobCancelled`."""
        raise JobCancelled("the job cancelled itself", reason=reason)


def _check_seconds(name: str, value: float, most: float) -> float:
    _check_number(name, value)
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {value}; it must be between 0 and {most}.")
    return value


def _check_number(name: str, value: float) -> None:
    # Not isinstance alone: True is an int to Python.
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number.")
