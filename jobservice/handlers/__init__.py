"""Python handlers: the public API (`handler`, `Job`, `PermanentFailure`, `JobCancelled`) and the built-in ones.

from jobservice.handlers import Job, PermanentFailure, handler

@handler("invoice.render", timeout_seconds=60)
def render_invoice(payload, job):
    return {"pages": 3}
"""

from jobservice.handlers import builtin
from jobservice.handlers.job import Job, JobCancelled, PermanentFailure
from jobservice.handlers.registry import handler

__all__ = ["Job", "JobCancelled", "PermanentFailure", "builtin", "handler"]
