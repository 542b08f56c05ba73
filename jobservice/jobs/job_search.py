"""The statement that reads jobs: the wide row, and over it the live row's values while there is one."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection

from jobservice.jobs.states import FINAL_STATES

# Ids hold the clock of the process that made them, created_at the database's: by how much the two may differ.
CLOCK_SLACK = timedelta(hours=1)

# Of nullable columns the live row's null counts; the others are never null in it.
_COLUMNS = """
SELECT j.id, j.type, j.executor, j.queue, coalesce(l.state, j.final_state) AS state,
  coalesce(l.priority, j.priority) AS priority, coalesce(l.attempt, j.attempt) AS attempt, j.max_attempts,
  coalesce(l.crash_count, j.crash_count) AS crash_count, j.tags, j.unique_hash, j.concurrency_hash, j.run_at,
  j.created_at, j.finished_at, j.payload_id, j.metadata_id, j.result_id, coalesce(l.epoch, j.epoch) AS epoch,
  CASE WHEN l.job_id IS NULL THEN j.available_at ELSE l.available_at END AS available_at,
  CASE WHEN l.job_id IS NULL THEN j.dispatched_at ELSE l.dispatched_at END AS dispatched_at,
  CASE WHEN l.job_id IS NULL THEN j.first_started_at ELSE l.first_started_at END AS first_started_at,
  CASE WHEN l.job_id IS NULL THEN j.last_started_at ELSE l.started_at END AS last_started_at,
  CASE WHEN l.job_id IS NULL THEN j.error_code ELSE l.error_code END AS error_code,
  CASE WHEN l.job_id IS NULL THEN j.error_id ELSE l.error_id END AS error_id,
  CASE WHEN l.job_id IS NULL THEN j.error_epoch ELSE l.error_epoch END AS error_epoch,
  coalesce(l.cancel_requested, false) AS cancel_requested
FROM job j {joins}
WHERE j.tenant_id = %(tenant)s{conditions}
"""
_LIVE = "{kind} JOIN job_live l ON l.job_id = j.id AND l.tenant_id = j.tenant_id"
_TAG = (
    " JOIN job_tag t{index} ON t{index}.tenant_id = j.tenant_id AND t{index}.job_id = j.id"
    " AND t{index}.name = %(tag_name_{index})s AND t{index}.value = %(tag_value_{index})s"
)
_CONDITIONS = {
    "queue": "j.queue = %(queue)s",
    "queues": "j.queue = ANY(%(queues)s::text[])",
    "type": "j.type = %(type)s",
    "priority": "coalesce(l.priority, j.priority) = %(priority)s",
    # The bound on the id leaves out the partitions, the exact time decides.
    "created_after": "j.created_at >= %(created_after)s"
    " AND j.id >= uuid7_at(greatest(%(created_after)s - %(slack)s, 'epoch'))",
    "created_before": "j.created_at < %(created_before)s"
    " AND j.id <= uuid7_at(greatest(%(created_before)s + %(slack)s, 'epoch'))",
    "before": "j.id < %(before)s",
}


@dataclass(frozen=True, slots=True)
class JobFilters:
    """Which jobs a list shows; None: all. `created_after` includes its moment, `created_before` does not.

    `queue` is what was asked for, `queues` what the asking key is limited to.
    """

    state: str | None = None
    queue: str | None = None
    type: str | None = None
    priority: int | None = None
    tags: tuple[tuple[str, str], ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    queues: tuple[str, ...] | None = None


def read_job(tenant_id: UUID, job_id: UUID) -> Any | None:
    """One job's columns (`JobFacts` and the ids of its sealed values). Index: job and job_live by primary key."""
    statement = _COLUMNS.format(joins=_LIVE.format(kind="LEFT"), conditions=" AND j.id = %(job)s")
    rows = _run(statement, {"tenant": tenant_id, "job": job_id})
    return rows[0] if rows else None


def search_jobs(tenant_id: UUID, filters: JobFilters, *, before: UUID | None, limit: int) -> list[Any]:
    """The newest jobs with ids under `before`. Only the conditions asked for are in the statement, so that each has
    the plan it deserves. Indexes: job_of_tenant; job_ended by a final state, job_open by a live one; job_tag_search.
    """
    parameters: dict[str, Any] = {"tenant": tenant_id, "limit": limit, "before": before, "slack": CLOCK_SLACK}
    parameters["queues"] = None if filters.queues is None else list(filters.queues)
    for name in ("state", "queue", "type", "priority", "created_after", "created_before"):
        parameters[name] = getattr(filters, name)
    for index, (name, value) in enumerate(filters.tags):
        parameters |= {f"tag_name_{index}": name, f"tag_value_{index}": value}
    given = [condition for name, condition in _CONDITIONS.items() if parameters[name] is not None]
    statement = _COLUMNS.format(
        joins=_LIVE.format(kind="INNER" if _is_live(filters.state) else "LEFT")
        + "".join(_TAG.format(index=index) for index in range(len(filters.tags))),
        conditions="".join(f" AND {condition}" for condition in [*given, *_state_conditions(filters.state)]),
    )
    return _run(f"{statement} ORDER BY j.id DESC LIMIT %(limit)s", parameters)


def _is_live(state: str | None) -> bool:
    return state is not None and state not in FINAL_STATES


def _state_conditions(state: str | None) -> list[str]:
    if state is None:
        return []
    return ["l.state = %(state)s"] if _is_live(state) else ["j.final_state = %(state)s"]


def _run(statement: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = _row_type(tuple(column.name for column in cursor.description or ()))
        rows = [row._make(values) for values in cursor.fetchall()]
    # Django hands jsonb of a raw cursor on as text.
    return [found._replace(tags=json.loads(found.tags)) for found in rows]


@lru_cache
def _row_type(columns: tuple[str, ...]) -> Any:
    return namedtuple("JobRow", columns)
