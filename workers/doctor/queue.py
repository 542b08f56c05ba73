"""The queue: leases are taken back, wishes heeded, due jobs are handed out, no lane sleeps, no limit
holds back what has room, nothing waits too long."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from jobservice.ids import DELIVERY, JOB, TENANT, show_id
from tenants.quotas import DEFAULTS
from workers.doctor.finding import Finding, ok, problem, show_age, show_count, warning
from workers.doctor.reader import Reader

# The reaper looks each second; more than this after the end of a lease, nobody does.
REAP_GRACE_SECONDS = 5.0
# A group of short jobs runs one after the other, and what ended of it is no longer there to be added up.
TIME_LIMIT_GRACE_SECONDS = 600.0
STAGE_GRACE_SECONDS = 30.0
# A worker looks each second and kills what does not heed it within seconds; an http request is cut at once.
CANCEL_GRACE_SECONDS = 60.0
WAIT_NOTED_SECONDS = 900.0
SECOND_LOOK_SECONDS = 2.5
ROWS_LOOKED_AT = 10_000
Place = tuple[UUID, str | None]
_WISHES = {"deadline": "past their deadline to start", "cancel": "asked to stop"}
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


def check_wishes(reader: Reader) -> Finding:
    graces = {"deadline_grace_seconds": STAGE_GRACE_SECONDS, "cancel_grace_seconds": CANCEL_GRACE_SECONDS}
    return judge_wishes(reader.read("dispatcher", "unheeded_wishes", graces))


def judge_wishes(rows: Sequence[Any]) -> Finding:
    """`rows`: per kind (deadline, cancel) how many jobs should be over, an id, and for how long."""
    if rows := [row for row in rows if row.count]:
        found = "; ".join(
            f"{show_count(row.count, 'job')} {_WISHES[row.kind]}, "
            f"{show_id(JOB, row.example)} for {show_age(row.seconds)}"
            for row in rows
        )
        return problem(
            f"Jobs should be over and are not: {found}.",
            fix="Start a dispatcher, or look at its log; restart the worker that does not heed a cancel.",
        )
    return ok("Deadlines to start and wishes to cancel were heeded.")


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


def check_limits(reader: Reader) -> Finding:
    first = _held_back(reader)
    if not first:
        return judge_limits(set(), set())
    # What a claim blocks and an end opens goes by in a moment: only what is there twice is stuck.
    time.sleep(SECOND_LOOK_SECONDS)
    again = first & _held_back(reader)
    return judge_limits({found[1:] for found in again if found[0] == "held"}, {f[1:] for f in again if f[0] == "over"})


def _held_back(reader: Reader) -> set[tuple[str, UUID, str | None]]:
    parameters = {"running": DEFAULTS["running"], "limit": ROWS_LOOKED_AT, "grace_seconds": STAGE_GRACE_SECONDS}
    return {(row.fault, row.tenant_id, row.queue) for row in reader.read("dispatcher", "held_back", parameters)}


def judge_limits(held: Collection[Place], over: Collection[Place]) -> Finding:
    """The tenants and queues that are held back though there is room, and those that hold more slots than they may."""
    if held:
        return problem(
            f"{show_count(len(held), 'limit')} holds jobs back though there is room: {_name(held)}.",
            fix="Start a dispatcher, or look at its log: it counts anew each second.",
        )
    if over:
        return warning(
            f"More jobs are under way than may be: {_name(over)}.",
            fix="Nothing, if the limit was lowered meanwhile: no run is stopped for it, and nothing new starts.",
        )
    return ok("No limit is exceeded, and none holds jobs back that have room.")


def _name(places: Collection[Place]) -> str:
    tenant_id, queue = min(places, key=str)
    return f"{show_id(TENANT, tenant_id)}{f', queue {queue}' if queue else ''}"


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
