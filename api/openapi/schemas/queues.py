"""Schemas of queues."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import COUNT, NAME_SCHEMA, TIME, answered, described, integer, page_of, written
from jobservice.jobs.queue_settings import (
    MAX_CONCURRENCY,
    MAX_PERIOD_SECONDS,
    MAX_RATE,
    MAX_RETENTION_DAYS,
)
from jobservice.jobs.states import LIVE_STATES

_RATE: dict[str, Any] = {
    "limit": described(integer(1, MAX_RATE), "How many jobs may start in a period."),
    "period_seconds": described(integer(1, MAX_PERIOD_SECONDS), "How long a period is."),
    "burst": described(
        integer(1, MAX_RATE), "How many may start at once after a pause; as many as `limit` by default."
    ),
}
_CONCURRENCY = described(
    nullable(integer(0, MAX_CONCURRENCY)),
    "How many of its jobs may run at once; 0 starts none, null leaves it to the tenant's `running` alone.",
)
_KEY_CONCURRENCY = "How many jobs with the same `concurrency_key` may run at once; 1 by default."
_RETENTION_DAYS = described(
    nullable(integer(1, MAX_RETENTION_DAYS)),
    "How long jobs that are over are kept; null leaves it to the service.",
)
_PAUSED = "While true, no job of it starts; runs under way go on, and jobs are accepted."

_WRITTEN: dict[str, Any] = {
    "concurrency": _CONCURRENCY,
    "key_concurrency": described(nullable(integer(1, MAX_CONCURRENCY)), _KEY_CONCURRENCY),
    "rate": described(nullable(ref("QueueRateSettings")), "How often its jobs may start; null is no limit."),
    "paused": described(nullable({"type": "boolean"}), f"{_PAUSED} False by default."),
    "retention_days": _RETENTION_DAYS,
}
_HEEDED = "Limits hold from the change on; nothing is removed by `retention_days` yet."

QUEUE_SCHEMAS: dict[str, Any] = {
    "QueueRateSettings": written(
        {**_RATE, "burst": nullable(_RATE["burst"])},
        required=("limit", "period_seconds"),
        description="How often jobs may start.",
    ),
    "QueueRate": answered(_RATE, description="How often jobs may start."),
    "QueueSettings": written(
        _WRITTEN, description=f"All settings of a queue: one that is null or left out has its default. {_HEEDED}"
    ),
    "QueueChange": {
        **written(
            _WRITTEN,
            description="Settings to alter; the others stay as they are. Null puts one back to its default, and `rate` "
            "is replaced as a whole.",
        ),
        "minProperties": 1,
    },
    "QueueCounts": answered(
        dict.fromkeys(LIVE_STATES, COUNT), description="How many unfinished jobs are in the queue, by state."
    ),
    "Queue": answered(
        {
            "name": NAME_SCHEMA,
            "concurrency": _CONCURRENCY,
            "key_concurrency": described(integer(1, MAX_CONCURRENCY), _KEY_CONCURRENCY),
            "rate": described(nullable(ref("QueueRate")), "How often its jobs may start; null is no limit."),
            "paused": described({"type": "boolean"}, _PAUSED),
            "retention_days": _RETENTION_DAYS,
            "created_at": TIME,
            "counts": ref("QueueCounts"),
            "counts_estimated": described(
                {"type": "boolean"},
                "Small counts are exact. True when a state holds so many jobs (from 500 on in a long list, 2,000 "
                "otherwise) that its count is taken from a sample, and may be off by a tenth or more.",
            ),
            "running": described(COUNT, "Those that are dispatched or executing. Always exact."),
            "oldest_due_at": described(
                nullable(TIME),
                "When the job was due that waits longest; null when none is due. Of thousands that are due, the "
                "first in turn are looked at.",
            ),
            "oldest_due_seconds": described(nullable(COUNT), "How long that is ago."),
        },
        description="A named line of the tenant's jobs: its settings, and what is in it now.",
    ),
    "QueuePage": page_of("Queue", order="the newest first"),
}
