"""What the database says of the lives that `life_machine.py` leads, held against the model of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from psycopg.rows import dict_row

from jobservice.ids import new_id
from jobservice.jobs.usage import COUNTED_KINDS
from tests.races import life_model
from tests.races.life_model import Life

# Every time is a multiple of this, and a run takes less than half of it: what is left is known to the step.
STEP = 600
WORKERS = [new_id() for _ in range(2)]

_SEEN = """
SELECT j.id, l.job_id IS NOT NULL AS is_live, j.final_state, coalesce(l.state, j.final_state) AS state,
  coalesce(l.epoch, j.epoch) AS epoch, coalesce(l.attempt, j.attempt) AS attempt,
  coalesce(l.crash_count, j.crash_count) AS crashes, coalesce(l.priority, j.priority) AS priority, j.max_attempts,
  l.worker_id, coalesce(l.cancel_requested, false) AS is_cancel_asked, l.suspended_reason AS reason,
  CASE WHEN l.job_id IS NULL THEN j.error_code ELSE l.error_code END AS error, lane.is_active,
  round(extract(epoch FROM l.due_at - clock_timestamp()) / %(step)s)::integer AS due,
  round(extract(epoch FROM l.lease_until - clock_timestamp()) / %(step)s)::integer AS lease,
  round(extract(epoch FROM l.start_deadline_at - clock_timestamp()) / %(step)s)::integer AS deadline,
  ARRAY(SELECT format('%%s %%s %%s', number, epoch, outcome) FROM attempt a WHERE a.tenant_id = j.tenant_id
        AND a.job_id = j.id) AS attempts,
  ARRAY(SELECT format('%%s %%s', type, epoch) FROM event e WHERE e.tenant_id = j.tenant_id
        AND e.job_id = j.id) AS events,
  (SELECT count(*) FROM delivery d WHERE d.tenant_id = j.tenant_id AND d.job_id = j.id) AS deliveries,
  j.end_event_id, (SELECT type FROM event e WHERE e.id = j.end_event_id AND e.job_id = j.id) AS end_type
FROM job j LEFT JOIN job_live l ON l.job_id = j.id LEFT JOIN lane ON lane.id = l.lane_id
WHERE j.tenant_id = ANY (%(tenants)s)
"""
_LEFT = """
SELECT (SELECT count(*) FROM job_live WHERE tenant_id = ANY (%(tenants)s)) AS live,
       (SELECT count(*) FROM attempt WHERE tenant_id = ANY (%(tenants)s)) AS attempts,
       (SELECT count(*) FROM event WHERE tenant_id = ANY (%(tenants)s)) AS events,
       (SELECT sum(open_jobs) FROM tenant_usage WHERE tenant_id = ANY (%(tenants)s))::bigint AS counted,
       ((SELECT sum(stored_bytes) FROM tenant_usage WHERE tenant_id = ANY (%(tenants)s))
        - (SELECT coalesce(sum(octet_length(sealed)), 0) FROM blob
           WHERE tenant_id = ANY (%(tenants)s) AND kind = ANY (%(kinds)s)))::bigint AS miscounted_bytes
"""


def compare_rows(tenant_ids: Iterable[UUID], jobs: Mapping[UUID, Life]) -> None:
    """Fails when the rows of the tenants are not just what the model knows: each job, and what is counted of all."""
    named: dict[str, Any] = {"tenants": list(tenant_ids), "step": STEP}
    # Prepared, because planning over all partitions takes longer than the rule under test.
    with psycopg.Cursor(connection.connection, row_factory=dict_row) as cursor:
        seen = {row["id"]: row for row in cursor.execute(_SEEN, named, prepare=True)}
        (left,) = cursor.execute(_LEFT, {**named, "kinds": list(COUNTED_KINDS)}, prepare=True).fetchall()
    assert set(seen) == set(jobs)
    for job_id, job in jobs.items():
        _compare(seen[job_id], job)
    attempts, events = sum(len(job.attempts) for job in jobs.values()), sum(len(job.events) for job in jobs.values())
    live = sum(job.state not in life_model.OVER for job in jobs.values())
    counts = {"live": live, "attempts": attempts, "events": events}
    assert left == {**counts, "counted": live, "miscounted_bytes": 0}


def _compare(row: dict[str, Any], job: Life) -> None:
    is_over = job.state in life_model.OVER
    assert row["is_live"] != is_over
    assert row["final_state"] == (job.state if is_over else None)
    # Of a job that is over, no time is left that counts.
    seen = replace(
        job,
        **{name: row[name] for name in ("state", "epoch", "attempt", "crashes", "priority", "max_attempts")},
        **{name: row[name] for name in ("is_cancel_asked", "reason", "error")},
        holder=None if row["worker_id"] is None else WORKERS.index(row["worker_id"]),
        due=job.due if is_over else row["due"] * STEP,
        lease=None if row["lease"] is None else row["lease"] * STEP,
        deadline=job.deadline if is_over else None if row["deadline"] is None else row["deadline"] * STEP,
        attempts=tuple(sorted((int(n), int(e), o) for n, e, o in map(str.split, row["attempts"]))),
        events=tuple(sorted((type_, int(epoch)) for type_, epoch in map(str.split, row["events"]))),
    )
    wanted = replace(job, attempts=tuple(sorted(job.attempts)), events=tuple(sorted(job.events)))
    assert asdict(seen) == asdict(wanted)
    ends = [type_ for type_, _ in job.events if type_.removeprefix("job.") in life_model.OVER]
    assert row["deliveries"] == (len(ends) if job.has_callback else 0)
    assert row["end_type"] == (ends[-1] if is_over else None)
    assert row["is_active"] or job.state != "available", "an available job whose lane sleeps is never claimed"
