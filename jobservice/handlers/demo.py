"""The handler of the demo tenant's jobs: it works, fails or runs out of memory as its payload says, and reports so.

`make run` names this module beside the operator's own; no other installation has it.
"""

from __future__ import annotations

from typing import Any

from jobservice.handlers.job import Job, PermanentFailure
from jobservice.handlers.registry import handler

# One report of progress in about so many seconds.
_STEP_SECONDS = 3.0
_FAILURES: dict[str, type[Exception]] = {
    "connection": ConnectionError,
    "permanent": PermanentFailure,
    "timeout": TimeoutError,
    "value": ValueError,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "seconds": {"type": "number", "minimum": 0, "maximum": 3600},
        "unit": {"type": "string"},
        "fails": {"enum": ["memory", *_FAILURES]},
        "says": {"type": "string"},
        "result": True,
    },
}


@handler("demo", payload_schema=SCHEMA)
def play(payload: dict[str, Any], job: Job) -> Any:
    """`{"seconds": n, "unit": "pages", "fails": kind, "says": text, "result": any}`: all may be left out."""
    _work(job, float(payload.get("seconds", 0)), payload.get("unit", "steps"))
    if (kind := payload.get("fails")) is None:
        return payload.get("result")
    said = payload.get("says", "as asked")
    job.log(said, level="error")
    if kind == "memory":
        raise MemoryError(said)
    raise _FAILURES[kind](said)


def _work(job: Job, seconds: float, unit: str) -> None:
    steps = max(1, round(seconds / _STEP_SECONDS))
    for step in range(steps):
        job.sleep(seconds / steps)
        if steps > 1:
            job.progress(100 * (step + 1) / steps, f"{step + 1} of {steps} {unit}")
