"""A handler that an operator has installed: it walks, and says how far it is."""

from __future__ import annotations

from typing import Any

from jobservice.handlers import Job, handler


@handler("journey.walk", queue="walks")
def walk(payload: Any, job: Job) -> None:
    """`{"steps": n}`: a tenth of a second each."""
    for step in range(payload["steps"]):
        job.progress(100 * step / payload["steps"], f"step {step}")
        job.log(f"walked past {step}")
        job.sleep(0.1)
