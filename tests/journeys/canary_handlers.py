"""Handlers for the search for canaries: they tell what they are told, in every way in which a run can end."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from jobservice.handlers import Job, PermanentFailure, RetryLater, handler


@handler("canary.tell", timeout_seconds=60)
def tell(payload: Any, job: Job) -> Any:
    """`{"way": …, "texts": [progress, log line, the last word]}`."""
    progress, line, last = payload["texts"]
    job.progress(50, progress)
    job.log(line, "warning")
    return WAYS[payload["way"]](last, job)


def _fail(text: str, _job: Job) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        hidden = {text: error}
        raise RuntimeError(f"it failed over {text}") from hidden[text]


def _retry(text: str, job: Job) -> str:
    if job.attempt == 1:
        raise RetryLater(text, after_seconds=0)
    return text


def _give_up(text: str, _job: Job) -> None:
    raise PermanentFailure(text)


def _snooze(text: str, job: Job) -> str:
    if job.epoch == 1:
        job.snooze(0)
    return text


def _die(text: str, job: Job) -> str:
    if job.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return text


def _exhaust(text: str, job: Job) -> str:
    if job.epoch == 1:
        raise MemoryError(text)
    return text


WAYS: dict[str, Any] = {
    "return": lambda text, job: {text: [text]},
    "fail": _fail,
    "retry": _retry,
    "give up": _give_up,
    "snooze": _snooze,
    "cancel": lambda text, job: job.cancel(text),
    "overrun": lambda text, job: job.sleep(30) or text,
    "die": _die,
    "exhaust": _exhaust,
    "exit": lambda text, job: sys.exit(text),
    "no JSON": lambda text, job: {text: object()},
    "too large": lambda text, job: text * 20_000,
    "not a number": lambda text, job: [text, float("nan")],
}
