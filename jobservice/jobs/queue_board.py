"""What people see of queues besides what the API tells: how much of a rate is used, what ended lately, and which
concurrency keys hold jobs back. Each read is bounded, however many jobs there are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from jobservice.ids import JOB, show_id
from jobservice.jobs.statistics import MINUTE
from jobservice.statements import run_statement
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
# An hour, in steps.
SPARK_STEPS, SPARK_SECONDS = 12, 5 * MINUTE
MOST_KEYS = 20
# Of the keys of a queue so many are looked at, and so many jobs of each are counted.
KEYS_LOOKED_AT, JOBS_COUNTED = 60, 50
_MOST_SLOTS = 5000
# Enough of a hash to tell one key from another.
_MARK_BYTES = 4


@dataclass(frozen=True, slots=True)
class BusyKey:
    """A concurrency key that holds slots, or jobs back. The key itself is kept nowhere: `mark` is the beginning of its
    keyed hash, and `job_id` a job that has it. `is_more`: more wait than were counted.
    """

    mark: str
    running: int
    waiting: int
    is_more: bool
    job_id: str


def read_used_rates(tenant_id: UUID, names: Collection[str]) -> dict[str, int]:
    """How many of the starts of its burst each of these queues has used up now; of those with a rate."""
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "read_used_rates.sql", {"tenant": tenant_id, "queues": list(names)})
    return {row.queue: row.used for row in rows}


def read_ends(tenant_id: UUID, names: Collection[str]) -> dict[str, list[int]]:
    """How many jobs of each queue ended in each five minutes of the last hour, the present ones last."""
    parameters = {
        "tenant": tenant_id,
        "queues": list(names),
        "base": MINUTE,
        "step": SPARK_SECONDS,
        "steps": SPARK_STEPS,
    }
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "read_queue_ends.sql", parameters)
    ends = {name: [0] * SPARK_STEPS for name in names}
    for row in rows:
        ends[row.queue][row.place] += int(row.ended)
    return ends


def list_busy_keys(tenant_id: UUID, queue: str) -> list[BusyKey]:
    """The concurrency keys of a queue that most jobs wait for, then those that hold the most slots."""
    parameters = {
        "tenant": tenant_id,
        "queue": queue,
        "slots": _MOST_SLOTS,
        "keys": KEYS_LOOKED_AT,
        "counted": JOBS_COUNTED,
        "limit": MOST_KEYS,
    }
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "list_concurrency_keys.sql", parameters)
    return [
        BusyKey(
            mark=bytes(row.hash)[:_MARK_BYTES].hex(),
            running=row.running,
            waiting=min(row.waiting, JOBS_COUNTED),
            is_more=row.waiting > JOBS_COUNTED,
            job_id=show_id(JOB, row.job_id),
        )
        for row in rows
    ]
