"""Python handlers: the public API, and the built-in ones. docs/handlers.md tells how to write, test and install one.

from jobservice.handlers import Job, PermanentFailure, handler

@handler("invoice.render", timeout_seconds=60)
def render_invoice(payload, job):
    return {"pages": 3}
"""

from jobservice.handlers import builtin
from jobservice.handlers.job import Job, JobCancelled, JobSnoozed, PermanentFailure, RetryLater, RunEnded
from jobservice.handlers.registry import RetrySettings, handler

__all__ = [
    "Job",
    "JobCancelled",
    "JobSnoozed",
    "PermanentFailure",
    "RetryLater",
    "RetrySettings",
    "RunEnded",
    "builtin",
    "handler",
]
