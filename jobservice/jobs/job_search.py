"""The statement that reads jobs: the wide row, and over it the live row's values while there is one."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection

from jobservice.jobs.states import FINAL_STATES
from tenants.context import set_local

# Ids hold the clock of the process that made them, created_at the database's: by how much the two may differ.
CLOCK_SLACK = timedelta(hours=1)

# Of nullable columns the live row's null counts; the others are never null in it.
_COLUMNS = """
SELECT j.id, j.type, j.executor, j.queue, coalesce(l.state, j.final_state) AS state,
  coalesce(l.priority, j.priority) AS priority, coalesce(l.attempt, j.attempt) AS attempt, j.max_attempts,
  coalesce(l.crash_count, j.crash_count) AS crash_count, j.tags, j.unique_hash, j.concurrency_hash, j.run_at,
  j.created_at, j.finished_at, j.payload_id, j.metadata_id, j.result_id, j.retry_of,
  coalesce(l.epoch, j.epoch) AS epoch,
  CASE WHEN l.job_id IS NULL THEN j.available_at ELSE l.available_at END AS available_at,
  CASE WHEN l.job_id IS NULL THEN j.dispatched_at ELSE l.dispatched_at END AS dispatched_at,
  CASE WHEN l.job_id IS NULL THEN j.first_started_at ELSE l.first_started_at END AS first_started_at,
  CASE WHEN l.job_id IS NULL THEN j.last_started_at ELSE l.started_at END AS last_started_at,
  CASE WHEN l.job_id IS NULL THEN j.error_code ELSE l.error_code END AS error_code,
  CASE WHEN l.job_id IS NULL THEN j.error_id ELSE l.error_id END AS error_id,
  CASE WHEN l.job_id IS NULL THEN j.error_epoch ELSE l.error_epoch END AS error_epoch,
  coalesce(l.cancel_requested, false) AS cancel_requested, l.progress_percent, l.progress_id
"""
_FROM = """FROM job j {joins}
WHERE j.tenant_id = %(tenant)s{conditions}
"""
_MEASURE = """
WITH found AS MATERIALIZED ({found})
SELECT count(*), (SELECT id FROM found ORDER BY id DESC LIMIT 1), statement_timestamp() FROM found
"""
_LIVE = "{kind} JOIN job_live l ON l.job_id = j.id AND l.tenant_id = j.tenant_id"
_TAG = (
    " JOIN job_tag t{index} ON t{index}.tenant_id = j.tenant_id AND t{index}.job_id = j.id"
    " AND t{index}.name = %(tag_name_{index})s AND t{index}.value = %(tag_value_{index})s"
)
# Found by the two indexes and not by a look at every job: job_of_error and job_live_of_error.
_OF_ERROR_GROUP = """j.id IN (
  SELECT id FROM job WHERE tenant_id = %(tenant)s AND error_group_id = %(error_group)s
  UNION ALL SELECT job_id FROM job_live WHERE tenant_id = %(tenant)s AND error_group_id = %(error_group)s)"""
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
    "after": "j.id > %(after)s",
    "up_to": "j.id <= %(up_to)s",
    "made_by": "j.created_at <= %(made_by)s",
    "job": "j.id = %(job)s",
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
    error_group: UUID | None = None
    queues: tuple[str, ...] | None = None


def read_job(tenant_id: UUID, job_id: UUID) -> Any | None:
    """One job's columns (`JobFacts` and the ids of its sealed values). Index: job and job_live by primary key."""
    statement = _COLUMNS + _FROM.format(joins=_LIVE.format(kind="LEFT"), conditions=" AND j.id = %(job)s")
    rows = _run(statement, {"tenant": tenant_id, "job": job_id})
    return rows[0] if rows else None


def read_jobs(tenant_id: UUID, job_ids: Collection[UUID]) -> list[Any]:
    """The columns of those of these jobs that there are, like `read_job`."""
    statement = _COLUMNS + _FROM.format(joins=_LIVE.format(kind="LEFT"), conditions=" AND j.id = ANY(%(jobs)s::uuid[])")
    return _run(statement, {"tenant": tenant_id, "jobs": list(job_ids)})


def search_jobs(tenant_id: UUID, filters: JobFilters, *, before: UUID | None, limit: int) -> list[Any]:
    """The newest jobs with ids under `before`. Only the conditions asked for are in the statement, so that each has
    the plan it deserves. Indexes: job_of_tenant; job_ended by a final state, job_open by a live one; job_type_search,
    job_queue_search, job_tag_search.
    """
    matching, parameters = _matching(tenant_id, filters, before=before)
    return _run(f"{_COLUMNS}{matching} ORDER BY j.id DESC LIMIT %(limit)s", {**parameters, "limit": limit})


def expect_many_jobs() -> None:
    """Until the end of the transaction, no join goes through all jobs for each tag. That is what the planner does while
    it has no statistics and expects one job, and its time grows with the square of their number.
    """
    set_local("enable_material", "off")


def measure_jobs(tenant_id: UUID, filters: JobFilters, *, limit: int) -> tuple[int, UUID | None, datetime]:
    """How many jobs there are now, counted up to `limit` from the oldest on, the id of the last one counted, and the
    database's time: jobs made later have a later one. Indexes as in `search_jobs`."""
    matching, parameters = _matching(tenant_id, filters)
    found = f"SELECT j.id {matching} AND j.created_at <= statement_timestamp() ORDER BY j.id LIMIT %(limit)s"
    statement = _MEASURE.format(found=found)
    with connection.cursor() as cursor:
        cursor.execute(statement, {**parameters, "limit": limit})
        matched, last_id, now = cursor.fetchone()
    return matched, last_id, now


def find_job_ids(
    tenant_id: UUID,
    filters: JobFilters,
    *,
    after: UUID | None,
    up_to: UUID | None = None,
    made_by: datetime | None = None,
    limit: int,
) -> list[UUID]:
    """The ids of the oldest jobs after one and up to another, made by a moment. Indexes as in `search_jobs`."""
    matching, parameters = _matching(tenant_id, filters, after=after, up_to=up_to, made_by=made_by)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT j.id {matching} ORDER BY j.id LIMIT %(limit)s", {**parameters, "limit": limit})
        return [job_id for (job_id,) in cursor.fetchall()]


def is_match(tenant_id: UUID, filters: JobFilters, job_id: UUID) -> bool:
    """Whether the job is there and the filters let it through. Indexes: job and job_live by primary key."""
    matching, parameters = _matching(tenant_id, filters, job=job_id)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT j.id {matching}", parameters)
        return cursor.fetchone() is not None


def _matching(tenant_id: UUID, filters: JobFilters, **bounds: Any) -> tuple[str, dict[str, Any]]:
    """The part of a statement that says which jobs, and its parameters. A bound that is None is none."""
    parameters: dict[str, Any] = {"tenant": tenant_id, "slack": CLOCK_SLACK, **bounds}
    parameters["queues"] = None if filters.queues is None else list(filters.queues)
    for name in ("state", "queue", "type", "priority", "created_after", "created_before", "error_group"):
        parameters[name] = getattr(filters, name)
    for index, (name, value) in enumerate(filters.tags):
        parameters |= {f"tag_name_{index}": name, f"tag_value_{index}": value}
    given = [condition for name, condition in _CONDITIONS.items() if parameters.get(name) is not None]
    statement = _FROM.format(
        joins=_LIVE.format(kind="INNER" if _is_live(filters.state) else "LEFT")
        + "".join(_TAG.format(index=index) for index in range(len(filters.tags))),
        conditions="".join(
            f" AND {condition}"
            for condition in [*given, *_state_conditions(filters.state), *_error_conditions(filters, "job" in bounds)]
        ),
    )
    return statement, parameters


def _is_live(state: str | None) -> bool:
    return state is not None and state not in FINAL_STATES


def _state_conditions(state: str | None) -> list[str]:
    if state is None:
        return []
    return ["l.state = %(state)s"] if _is_live(state) else ["j.final_state = %(state)s"]


def _error_conditions(filters: JobFilters, is_of_one: bool) -> list[str]:
    """The error of a job is in its live row while there is one; the other row then has none."""
    if filters.error_group is None:
        return []
    if filters.state is None and not is_of_one:
        return [_OF_ERROR_GROUP]
    either = "(j.error_group_id = %(error_group)s OR l.error_group_id = %(error_group)s)"
    own = "l.error_group_id = %(error_group)s" if _is_live(filters.state) else "j.error_group_id = %(error_group)s"
    return [either if filters.state is None else own]


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
