"""Why an unfinished job waits: the first reason that binds, in the order in which the dispatcher finds out.

Counted anew, as the claim counts, and not read from what the last claim left. A job that is held, was handed out or
runs waits for nothing that could be named here: its state, its error and its timeline say what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, get_args
from uuid import UUID

from jobservice.ids import JOB, show_id
from jobservice.jobs.fleet import SILENT_SECONDS
from jobservice.jobs.representation import show_time
from jobservice.statements import run_statement
from tenants.quotas import DEFAULTS

_SQL = Path(__file__).resolve().parent / "sql"
# How many jobs before it are counted, and how many of those that hold a slot are named.
MOST_AHEAD = 1000
MOST_HOLDERS = 5

Reason = Literal[
    "scheduled",
    "backoff",
    "tenant-suspended",
    "queue-paused",
    "no-worker",
    "tenant-concurrency",
    "queue-concurrency",
    "queue-rate",
    "endpoint-throttled",
    "concurrency-key",
    "turn",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class WaitFacts(Protocol):
    """A live job, its tenant, its queue and the workers for it, at one moment. `ahead` counts to `MOST_AHEAD` only.

    Limits are null where there is none. `token_seconds` until the queue's rate allows a job; below zero, it does.
    `is_throttled`: it was put aside for its endpoint; `throttled_until` is null when that wants no pause (any more).
    """

    state: str
    due_at: datetime
    read_at: datetime
    attempt: int
    pool: str
    has_key: bool
    is_tenant_active: bool
    queue: str
    paused_at: datetime | None
    tenant_limit: int | None
    tenant_slots: int
    queue_limit: int | None
    queue_slots: int
    queue_holders: Sequence[UUID] | None
    key_limit: int
    key_slots: int
    key_holders: Sequence[UUID] | None
    rate: dict[str, Any] | None
    token_seconds: float | None
    type: str
    is_throttled: bool
    throttled_until: datetime | None
    workers: int
    slots: int
    ahead: int


def read_wait(tenant_id: UUID, job_id: UUID) -> dict[str, Any] | None:
    """Why the job waits, as the API shows it; None when it does not, or is over. In the caller's transaction."""
    parameters = {
        "tenant": tenant_id,
        "job": job_id,
        "running": DEFAULTS["running"],
        "silent_seconds": SILENT_SECONDS,
        "most_ahead": MOST_AHEAD,
        "holders": MOST_HOLDERS,
    }
    rows = run_statement(_SQL / "read_wait.sql", parameters)
    return explain_wait(rows[0]) if rows else None


def explain_wait(facts: WaitFacts) -> dict[str, Any] | None:
    """The reason and a sentence with its numbers; None for a job that does not wait."""
    if facts.state == "available" or (facts.state in ("scheduled", "retryable") and facts.due_at <= facts.read_at):
        return _explain_due(facts)
    due = show_time(facts.due_at)
    if facts.state == "scheduled":
        return _wait("scheduled", f"It is due at {due}.")
    if facts.state == "retryable":
        return _wait("backoff", f"Attempt {facts.attempt} failed; the next one is due at {due}.")
    return None


def _explain_due(facts: WaitFacts) -> dict[str, Any]:
    if not facts.is_tenant_active:
        return _wait("tenant-suspended", "The tenant is suspended: none of its jobs starts until it is resumed.")
    if facts.paused_at is not None:
        since = show_time(facts.paused_at)
        return _wait("queue-paused", f"The queue {facts.queue} has been paused since {since}.")
    if not facts.slots:
        seconds = round(SILENT_SECONDS)
        return _wait("no-worker", f"No worker of the pool {facts.pool} was seen in the last {seconds} s.")
    if limited := _explain_limit(facts):
        return limited
    ahead = f"{MOST_AHEAD} or more" if facts.ahead >= MOST_AHEAD else str(facts.ahead)
    fleet = f"workers for it: {facts.workers}, with {facts.slots} slots"
    return _wait("turn", f"Jobs before it in its queue: {ahead}; {fleet}.")


def _explain_limit(facts: WaitFacts) -> dict[str, Any] | None:
    if facts.tenant_limit is not None and facts.tenant_slots >= facts.tenant_limit:
        detail = (
            f"Jobs of the tenant that run or are handed out: {facts.tenant_slots}; it may have {facts.tenant_limit}."
        )
        return _wait("tenant-concurrency", detail, limit=facts.tenant_limit)
    if facts.queue_limit is not None and facts.queue_slots >= facts.queue_limit:
        detail = (
            f"Jobs of the queue {facts.queue} that run or are handed out: {facts.queue_slots}; "
            f"it may have {facts.queue_limit}."
        )
        return _wait("queue-concurrency", detail, limit=facts.queue_limit, holders=facts.queue_holders)
    if facts.rate is not None and facts.token_seconds is not None and facts.token_seconds > 0:
        at = show_time(facts.read_at + timedelta(seconds=facts.token_seconds))
        per = f"{facts.rate['limit']} in {facts.rate['period_seconds']} s"
        return _wait(
            "queue-rate", f"The queue {facts.queue} starts {per}; its next start is at {at}.", limit=facts.rate["limit"]
        )
    if throttled := _explain_throttle(facts):
        return throttled
    if facts.has_key and facts.key_slots >= facts.key_limit:
        detail = (
            f"Jobs with its concurrency key that run or are handed out: {facts.key_slots}; "
            f"the queue {facts.queue} lets {facts.key_limit} of a key run."
        )
        return _wait("concurrency-key", detail, limit=facts.key_limit, holders=facts.key_holders)
    return None


def _explain_throttle(facts: WaitFacts) -> dict[str, Any] | None:
    if facts.throttled_until is not None:
        until = show_time(facts.throttled_until)
        detail = (
            f"The endpoint of {facts.type} asked for a pause (429 or 503, Retry-After): nothing starts until {until}."
        )
        return _wait("endpoint-throttled", detail)
    if facts.is_throttled:
        detail = f"The pause that the endpoint of {facts.type} asked for is over: what waited for it starts bit by bit."
        return _wait("endpoint-throttled", detail)
    return None


def _wait(
    reason: Reason, detail: str, *, limit: int | None = None, holders: Sequence[UUID] | None = None
) -> dict[str, Any]:
    """`holders` are jobs of the same queue: whoever may see the job may see them too."""
    wait: dict[str, Any] = {"reason": reason, "detail": detail}
    if limit is not None:
        wait |= {"limit": limit, "held_by": [show_id(JOB, job_id) for job_id in holders or ()]}
    return wait
