"""Statistics: what happened, counted by time for each tenant, queue and job type, so that no chart scans the jobs.

1. The transaction that accepts or ends a job, or sends it on after a failed run, also adds a row to `statistic_delta`:
   one for each tenant, queue, type and minute of its group, mostly within a statement that it runs anyway. It is there
   if and only if what it counts is, after any crash. It updates nothing, so nobody waits: there is no hot row.
2. The dispatcher folds deltas into `statistic` and removes them, in one statement, at most `FOLD_LIMIT` of them a turn:
   rows of a minute, an hour and a day at once, of each queue and type, each queue, each type and the tenant as a whole,
   so that a chart reads one row for each moment. What was folded is gone, so nothing is counted twice, whoever dies in
   between; one dispatcher folds at a time, and the next one goes on. There is no watermark that a transaction which
   commits late could fall behind: its rows come into their own minute.
3. Rows of minutes go after two days, of hours after sixty days, of days after two years.

Why not from the jobs and attempts themselves: their ids hold the clocks of many machines, so no order of theirs says
which are all there; and whoever erases a job would take it out of the count.

An end is counted when it happens: a job that was retried after its end has two. What is read is at most `FOLD_SECONDS`
and a turn behind; reads are in `statistic_reads.py`.
"""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
MINUTE, HOUR, DAY = 60, 3600, 86_400
# How long rows of each step are kept. Minutes: last night's trouble, and the evening before it. Hours: this month and
# the last one. Days: this year and the last one.
KEEP_SECONDS = {MINUTE: 2 * DAY, HOUR: 60 * DAY, DAY: 731 * DAY}
KEEP_GROUPS_SECONDS = 90 * DAY
# The rows of a queue and type are written once a turn, so that rarer turns cost less.
FOLD_SECONDS = 5.0
# What a turn takes holds up the dispatching: some ten milliseconds, and more when each is of another queue and type.
FOLD_LIMIT = 200
PRUNE_LIMIT = 1000


def fold_statistics() -> bool:
    """Fold a batch of deltas of jobs, and one of errors; whether more may be left. Run by the dispatcher."""
    has_more = False
    for statement in ("fold_statistics.sql", "fold_errors.sql"):
        with transaction.atomic():
            (lock,) = run_statement(_SQL / "lock_fold.sql", {})
            if lock.is_mine:
                (row,) = run_statement(_SQL / statement, {"limit": FOLD_LIMIT})
                has_more = row.folded == FOLD_LIMIT or has_more
    return has_more


def prune_statistics() -> bool:
    """Remove a batch of what is no longer kept; whether more may be left. Run by the dispatcher."""
    has_more = False
    for step, keep_seconds in KEEP_SECONDS.items():
        has_more = _prune("prune_statistics.sql", step=step, keep_seconds=keep_seconds) or has_more
        if step != DAY:
            has_more = _prune("prune_error_counts.sql", step=step, keep_seconds=keep_seconds) or has_more
    return _prune("prune_error_groups.sql", keep_seconds=KEEP_GROUPS_SECONDS) or has_more


def _prune(statement: str, **parameters: int) -> bool:
    with transaction.atomic():
        return len(run_statement(_SQL / statement, {**parameters, "limit": PRUNE_LIMIT})) == PRUNE_LIMIT
