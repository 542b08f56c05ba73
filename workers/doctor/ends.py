"""Ends: a job is either live or over, over once, told once, and counted as such.

Looks at the newest rows and at the oldest live ones, so that the cost does not grow with the history. Only the count
of unfinished jobs looks at every live one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobservice.ids import JOB, TENANT, show_id
from jobservice.jobs.outcomes import CRASHES_TO_SUSPEND
from workers.doctor.finding import Finding, ok, problem, show_count
from workers.doctor.reader import Reader
from workers.supervisor.connections import OWNER

ROWS_LOOKED_AT = 10_000
_REPORT = "Report this: it is a fault of the service, or the database was restored in part."


def check_live_jobs(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "stray_live_jobs", {"limit": ROWS_LOOKED_AT})
    words = {"over": "live though over", "unknown": "live without a job", "laneless": "live in no lane"}
    return judge_faults(rows, words=words, well=f"The oldest {ROWS_LOOKED_AT} live rows belong to unfinished jobs.")


def check_unfinished_jobs(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "lost_jobs", {"limit": ROWS_LOOKED_AT})
    words = {"lost": "neither over nor live: it will never run"}
    return judge_faults(rows, words=words, well=f"Of the newest {ROWS_LOOKED_AT} jobs, each is over or live.")


def check_terminal_events(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "wrong_terminal_events", {"limit": ROWS_LOOKED_AT})
    words = {
        "untold": "over without its event",
        "twice": "over with more than one event",
        "live": "live with the event of an end",
    }
    return judge_faults(
        rows, words=words, well=f"Of the newest {ROWS_LOOKED_AT} jobs, each that is over has one event."
    )


def check_attempts(reader: Reader) -> Finding:
    """Executions ≤ attempts + crashes, and no claim was recorded twice."""
    rows = reader.read("dispatcher", "wrong_attempts", {"limit": ROWS_LOOKED_AT, "crashes": CRASHES_TO_SUSPEND})
    words = {
        "twice": "with one claim recorded twice",
        "many": "run more often than its attempts and crashes allow",
        "crashes": "crashed more often than quarantine allows",
    }
    return judge_faults(rows, words=words, well=f"The newest {ROWS_LOOKED_AT} runs are within attempts and crashes.")


def check_unique_keys(reader: Reader) -> Finding:
    """A job holds its unique key while it must, and no longer."""
    rows = reader.read("dispatcher", "wrong_unique_claims", {"limit": ROWS_LOOKED_AT})
    words = {
        "unheld": "live without the unique key that it must hold: another with the same key may run beside it",
        "stuck": "over or started, and still in the way of others with their unique key",
    }
    well = f"Of the oldest {ROWS_LOOKED_AT} live jobs, each holds its unique key, and nobody else holds one."
    fix = f"Erase a job that is over, which frees its key; of two that are live, cancel one. {_REPORT}"
    return judge_faults(rows, words=words, well=well, fix=fix)


def check_quotas(reader: Reader) -> Finding:
    """Limits are what plan and own quotas make, and the counters of unfinished jobs say what the rows say."""
    if stray := reader.read(OWNER, "wrong_quotas"):
        return problem(
            f"{show_count(len(stray), 'tenant')} with other limits than its plan and its own quotas make, "
            f"such as {show_id(TENANT, stray[0].id)}.",
            fix="manage.py set_quota TENANT, without any value, sets them anew. Somebody changed rows by hand.",
        )
    rows = reader.read("dispatcher", "wrong_usage")
    if not rows:
        return ok("Each tenant has the limits that were set, and as many unfinished jobs as are counted for them.")
    first = rows[0]
    named = f"such as {show_id(TENANT, first.id)}: counted {first.kept}, there are {first.counted}"
    return problem(
        f"{show_count(len(rows), 'tenant')} with a wrong count of unfinished jobs, {named}.",
        fix="manage.py recount_usage TENANT, or --all, sets the counters to what is there. "
        "Unless the database was restored in part, or somebody changed rows by hand, report this.",
    )


def judge_faults(rows: Sequence[Any], *, words: Mapping[str, str], well: str, fix: str = _REPORT) -> Finding:
    """`rows`: per fault how many jobs have it, and the id of one."""
    if not rows:
        return ok(well)
    found = "; ".join(
        f"{show_count(row.count, 'job')} {words[row.fault]}, such as {show_id(JOB, row.example)}" for row in rows
    )
    return problem(f"{found[0].upper()}{found[1:]}.", fix=fix)
