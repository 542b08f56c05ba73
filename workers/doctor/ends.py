"""Ends: a job is either live or over, over once, and told once.

Looks at the newest rows and at the oldest live ones, so that the cost does not grow with the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobservice.ids import JOB, show_id
from jobservice.jobs.outcomes import CRASHES_TO_SUSPEND
from workers.doctor.finding import Finding, ok, problem, show_count
from workers.doctor.reader import Reader

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


def judge_faults(rows: Sequence[Any], *, words: Mapping[str, str], well: str) -> Finding:
    """`rows`: per fault how many jobs have it, and the id of one."""
    if not rows:
        return ok(well)
    found = "; ".join(
        f"{show_count(row.count, 'job')} {words[row.fault]}, such as {show_id(JOB, row.example)}" for row in rows
    )
    return problem(f"{found[0].upper()}{found[1:]}.", fix=_REPORT)
