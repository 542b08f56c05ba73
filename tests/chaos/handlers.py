"""Handlers for the chaos tests: each writes down that it started and that it ended, before and after all else.

Loaded by the product's own processes (JOBSERVICE_HANDLERS). One write to a file opened for appending is one line,
whoever else writes at the same moment.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from jobservice.handlers import Job, handler

LOG_VARIABLE = "CHAOS_HANDLER_LOG"


def note(what: str, job: Job) -> None:
    facts = {"what": what, "job": job.id, "epoch": job.epoch, "attempt": job.attempt}
    line = json.dumps({**facts, "pid": os.getpid(), "at": time.time()}) + "\n"
    descriptor = os.open(os.environ[LOG_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@handler("chaos.work")
def work(payload: Any, job: Job) -> Any:
    """`{"seconds": n, "fail_times": n}`: take so long, and fail the first attempts."""
    note("start", job)
    job.sleep(payload.get("seconds", 0))
    note("end", job)
    if job.attempt <= payload.get("fail_times", 0):
        raise RuntimeError(f"attempt {job.attempt} fails, as asked")
    return {"attempt": job.attempt}


@handler("chaos.deaf")
def deaf(payload: Any, job: Job) -> Any:
    """`{"seconds": n}`: take so long and hear nothing of a request to stop."""
    note("start", job)
    time.sleep(payload["seconds"])
    note("end", job)
