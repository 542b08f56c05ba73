"""A handler that says what it is told to say, in every way in which a run can say something, and fails."""

from __future__ import annotations

from typing import Any

from jobservice.handlers import Job, handler


class SaidError(Exception):
    """Raised with what was to be said."""


@handler("hostile.say", max_attempts=1)
def say(payload: Any, job: Job) -> None:
    """`{"texts": […]}`: a log line for each, a progress and the error with all of them."""
    texts = payload["texts"]
    job.progress(50, "\n".join(texts))
    for text in texts:
        job.log(text)
    raise SaidError("\n".join(texts))
