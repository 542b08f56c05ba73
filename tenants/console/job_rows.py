"""Jobs as rows of a list: what the API shows of a job, and what a row needs besides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.urls import reverse

from jobservice.jobs.states import FINAL_STATES
from tenants.console.times import between, parse_moment

_SHOWN_CHARACTERS = 8


def job_rows(jobs: Iterable[dict[str, Any]], *, now: datetime) -> list[dict[str, Any]]:
    return [_row(job, now=now) for job in jobs]


def latest_job_rows(jobs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as they are now, for a page that shows a few jobs besides."""
    return job_rows(jobs, now=datetime.now(UTC))


def job_facts(jobs: Iterable[dict[str, Any]], *, now: datetime) -> list[object]:
    """What a list shows of its jobs: it has changed when this has."""
    names = ("id", "state", "attempt", "max_attempts", "priority", "tags", "cancel_requested")
    return [[*(job[name] for name in names), wait_minutes(job, now=now)] for job in jobs]


def wait_minutes(job: dict[str, Any], *, now: datetime) -> int | None:
    """Of a job that waits, how long, in whole minutes: what is shown of it is that old at most."""
    waited = wait_ms(job, now=now)
    return None if waited is None else int(waited // 60_000)


def short_id(job_id: str) -> str:
    """The part of an id that tells it from others: its end."""
    prefix, _underscore, rest = job_id.partition("_")
    return f"{prefix}_…{rest[-_SHOWN_CHARACTERS:]}"


def wait_ms(job: dict[str, Any], *, now: datetime) -> float | None:
    """From due to its first start; of a job that waits, until now. None before it is due, or when it is not known."""
    if job["latency_ms"] is not None or job["started_at"] is not None or job["state"] in FINAL_STATES:
        latency: float | None = job["latency_ms"]
        return latency
    due = max(parse_moment(job["run_at"]), parse_moment(job["created_at"]))
    return between(due, now) if due <= now else None


def run_ms(job: dict[str, Any]) -> float | None:
    """How long its last run took; None while there is no end of one."""
    duration: float | None = job["duration_ms"]
    return duration


def _row(job: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    return {
        "job": job,
        "short_id": short_id(job["id"]),
        "href": reverse("console-JobPage", kwargs={"job_id": job["id"]}),
        "wait_ms": wait_ms(job, now=now),
        "run_ms": run_ms(job),
    }
