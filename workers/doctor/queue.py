"""The queue: leases are taken back, what is due is handed out, no lane sleeps over its jobs, nothing waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobservice.ids import DELIVERY, JOB, show_id
from workers.doctor.finding import Finding, ok, problem, show_age, show_count, warning
from workers.doctor.reader import Reader

# The reaper looks each second; more than this after the end of a lease, nobody does.
REAP_GRACE_SECONDS = 5.0
# A group of short jobs runs one after the other, and what ended of it is no longer there to be added up.
TIME_LIMIT_GRACE_SECONDS = 600.0
STAGE_GRACE_SECONDS = 30.0
WAIT_NOTED_SECONDS = 900.0
ROWS_LOOKED_AT = 10_000
_PREFIXES = {"job": JOB, "delivery": DELIVERY}


def check_leases(reader: Reader) -> Finding:
    return judge_leases(reader.read("dispatcher", "ended_leases", {"grace_seconds": REAP_GRACE_SECONDS}))


def judge_leases(rows: Sequence[Any]) -> Finding:
    """`rows`: per kind of holder (job, delivery) how many leases ended, the oldest and an id."""
    if rows := [row for row in rows if row.count]:
        found = "; ".join(
            f"{show_count(row.count, row.kind, plural=_plural(row.kind))}, {show_id(_PREFIXES[row.kind], row.example)} "
            f"for {show_age(row.seconds)}"
            for row in rows
        )
        return problem(f"Leases ended and were not taken back: {found}.", fix="Start a dispatcher, or look at its log.")
    return ok("Every lease that ended was taken back.")


def check_time_limits(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "overrun_groups", {"grace_seconds": TIME_LIMIT_GRACE_SECONDS})
    if rows:
        oldest = rows[0]
        return problem(
            f"{show_count(len(rows), 'group')} of jobs run past all their time limits, "
            f"{show_id(JOB, oldest.example)} for {show_age(oldest.seconds)}.",
            fix=f"Restart worker {oldest.worker_id}: it renews its leases but ends nothing.",
        )
    return ok("No run is past its time limit.")


def check_due_jobs(reader: Reader) -> Finding:
    (row,) = reader.read("dispatcher", "due_jobs", {"grace_seconds": STAGE_GRACE_SECONDS, "limit": ROWS_LOOKED_AT})
    if row.count:
        return problem(
            f"{_at_least(row.count)} became due and was not made available, the oldest {show_age(row.seconds)} ago.",
            fix="Start a dispatcher, or look at its log.",
        )
    return ok("What became due was made available.")


def check_lanes(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "sleeping_lanes", {"grace_seconds": STAGE_GRACE_SECONDS, "limit": ROWS_LOOKED_AT})
    if rows:
        return problem(
            f"{show_count(len(rows), 'lane')} cannot be served though jobs are available in it, "
            f"queue {rows[0].queue} ({rows[0].fault}) among them.",
            fix="Submit a job to that queue, which wakes its lane; and report this: it is a fault of the service.",
        )
    return ok("No lane sleeps while it has available jobs.")


def check_waiting(reader: Reader) -> Finding:
    parameters = {"noted_seconds": WAIT_NOTED_SECONDS, "limit": ROWS_LOOKED_AT}
    return judge_waiting(reader.read("dispatcher", "long_waits", parameters))


def judge_waiting(rows: Sequence[Any]) -> Finding:
    """`rows`: per pool, how many of its lanes have had their next job wait for long, and the longest wait."""
    if rows:
        found = "; ".join(
            f"pool {row.pool}, {show_count(row.lanes, 'lane')}, up to {show_age(row.seconds)}" for row in rows
        )
        return warning(f"Work has waited for long: {found}.", fix="Start more workers of that pool.")
    return ok(f"Nothing due has waited {show_age(WAIT_NOTED_SECONDS)}.")


def _at_least(count: int) -> str:
    return f"{'At least ' if count >= ROWS_LOOKED_AT else ''}{show_count(count, 'job')}"


def _plural(kind: str) -> str:
    return "deliveries" if kind == "delivery" else ""
