"""Fills a database with the jobs, statistics and errors of one tenant and times the reads of a console's pages.

The order comes in as JSON, the medians in milliseconds go out by the names of the reads.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from tests.benchmarks.orders import ReadsOrder
from tests.benchmarks.servers import Servers, as_superuser
from tests.benchmarks.web_role import web_application

DATABASE = "jobservice_bench_reads"
TIMES = 9
# With fewer jobs there is as much less of history, too.
FULL_JOBS = 1_000_000
# A fifth of the jobs is unfinished, in four queues, in one of which all wait for 300 concurrency keys; of the others
# one in twenty failed, each of a group. Twenty queues, five types, and one of each that came once, long ago.
FILL = """
INSERT INTO queue (id, tenant_id, name)
SELECT gen_random_uuid(), %(tenant)s, 'queue-' || n FROM generate_series(0, 19) AS n;
INSERT INTO lane (tenant_id, queue, pool) SELECT %(tenant)s, 'queue-' || n, 'handlers' FROM generate_series(0, 19) n;
CREATE TEMP TABLE made AS
SELECT n, (substr(uuid7_at(moment)::text, 1, 15) || substr(gen_random_uuid()::text, 16))::uuid AS id, moment,
       'queue-' || n %% 20 AS queue, 'type-' || n / 20 %% 5 AS type,
       CASE WHEN n %% 5 = 0 THEN 'live' WHEN n %% 20 = 1 THEN 'discarded' WHEN n %% 100 = 2 THEN 'cancelled'
            ELSE 'completed' END AS fate
FROM (
  SELECT n, now() - (%(jobs)s - n) * interval '10 days' / %(jobs)s AS moment FROM generate_series(1, %(jobs)s) AS n
) AS numbered;
INSERT INTO job (id, tenant_id, type, executor, handler, queue, pool, priority, max_attempts, timeout_seconds, retry,
                 payload_id, payload_bytes, run_at, created_at, final_state, finished_at, last_started_at,
                 first_started_at, attempt, epoch, error_code, error_group_id, end_event_id)
SELECT id, %(tenant)s, type, 'handler', 'echo', queue, 'handlers', 0, 1, 60, '{}', id, 10, moment, moment,
       CASE WHEN fate <> 'live' THEN fate END, CASE WHEN fate <> 'live' THEN moment END,
       CASE WHEN fate IN ('completed', 'discarded') THEN moment END,
       CASE WHEN fate IN ('completed', 'discarded') THEN moment END,
       (fate IN ('completed', 'discarded'))::integer, (fate IN ('completed', 'discarded'))::integer,
       CASE fate WHEN 'discarded' THEN 'handler-error' WHEN 'cancelled' THEN 'cancelled' END,
       CASE fate WHEN 'discarded' THEN md5('group' || n / 20 %% 500)::uuid END,
       CASE WHEN fate <> 'live' THEN id END
FROM made;
UPDATE job SET type = 'rare', queue = 'rare' WHERE id = (SELECT id FROM made WHERE n = 2);
INSERT INTO job_live (job_id, tenant_id, lane_id, pool, type, state, rank, priority, due_at, available_at,
                      concurrency_hash, is_parked)
SELECT made.id, %(tenant)s, lane.id, 'handlers', type, CASE WHEN n %% 50 = 0 THEN 'scheduled' ELSE 'available' END,
       moment, 0, CASE WHEN n %% 50 = 0 THEN now() + interval '1 day' ELSE moment END,
       CASE WHEN n %% 50 = 0 THEN NULL ELSE moment END,
       CASE WHEN made.queue = 'queue-5' THEN decode(repeat(md5((n / 20 %% 300)::text), 2), 'hex') END,
       made.queue = 'queue-5' AND n %% 50 <> 0
FROM made JOIN lane ON lane.queue = made.queue AND lane.tenant_id = %(tenant)s WHERE fate = 'live';
INSERT INTO statistic
SELECT %(tenant)s, step, date_bin(make_interval(secs => step), now(), 'epoch') - make_interval(secs => step * place),
       queue, type, 10, 9, 1, 0, 1, entries, entries
FROM (VALUES (60, 2880), (3600, 1440), (86400, 731)) AS kept (step, places)
CROSS JOIN LATERAL generate_series(0, (places * %(share)s)::integer) AS place
CROSS JOIN (SELECT '' AS queue UNION ALL SELECT 'queue-' || n FROM generate_series(0, 19) AS n) AS queues
CROSS JOIN (SELECT '' AS type UNION ALL SELECT 'type-' || n FROM generate_series(0, 4) AS n) AS types
CROSS JOIN (
  SELECT array_agg((bucket::bigint << 40) + 3 ORDER BY bucket) AS entries FROM generate_series(8, 31, 2) AS bucket
) AS histogram;
INSERT INTO error_group (tenant_id, id, type, code, runs, first_seen_at, last_seen_at)
SELECT %(tenant)s, md5('group' || n)::uuid, 'type-' || n %% 5, 'handler-error', 100, now() - interval '9 days',
       now() - n * interval '1 minute'
FROM generate_series(0, 499) AS n;
INSERT INTO error_count
SELECT %(tenant)s, md5('group' || n)::uuid, step, date_bin(make_interval(secs => step), now(), 'epoch')
       - make_interval(secs => step * place), 1
FROM generate_series(0, 499) AS n CROSS JOIN (VALUES (60, 120), (3600, 1440)) AS kept (step, places)
CROSS JOIN LATERAL generate_series(0, (places * %(share)s)::integer) AS place;
DROP TABLE made;
"""
FILLED = ("job", "job_live", "lane", "queue", "statistic", "error_group", "error_count")


def main() -> None:
    order = ReadsOrder(**json.load(sys.stdin))
    servers = Servers(order.superuser_url, order.broker_url)
    with web_application(servers, DATABASE):
        with psycopg.connect(as_superuser(servers, DATABASE), autocommit=True) as connection:
            tenant_id = fill(connection, jobs=order.jobs)
        found = {name: time_read(read) for name, read in reads(tenant_id).items()}
    json.dump(found, sys.stdout)


def fill(connection: psycopg.Connection, *, jobs: int) -> UUID:
    """Make it all, of the one tenant that is there."""
    row = connection.execute("SELECT id FROM tenant").fetchone()
    assert row is not None
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SELECT make_partitions()")
        cursor.execute(FILL, {"tenant": row[0], "jobs": jobs, "share": min(1.0, jobs / FULL_JOBS)})
        for table in FILLED:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return UUID(str(row[0]))


def reads(tenant_id: UUID) -> dict[str, Callable[[], Any]]:
    """By name. Imported here, for the product's settings are those of this process by now."""
    from jobservice.jobs.error_group_reads import ErrorFilters, list_error_groups
    from jobservice.jobs.job_search import JobFilters
    from jobservice.jobs.overview import count_states, rank_queues
    from jobservice.jobs.queue_board import list_busy_keys, read_ends, read_used_rates
    from jobservice.jobs.queues import find_queue, list_queues
    from jobservice.jobs.selectors import list_jobs, list_latest_of_type
    from jobservice.jobs.statistic_ranges import read_range
    from jobservice.jobs.statistic_reads import StatisticFilters, read_series, summarize_types

    now = datetime.now(UTC)

    def series(step: str | None, filters: StatisticFilters | None = None, **ago: float) -> Callable[[], Any]:
        return lambda: read_series(tenant_id, read_range(now - timedelta(**ago), now, step, now=now), filters)

    def types(**ago: float) -> Callable[[], Any]:
        return lambda: summarize_types(tenant_id, read_range(now - timedelta(**ago), now, None, now=now))

    def jobs(**filters: Any) -> Callable[[], Any]:
        return lambda: list_jobs(tenant_id, filters=JobFilters(**filters), limit=50)

    (group, *_) = list_error_groups(tenant_id, ErrorFilters(), limit=1).data
    group_id = _id_of(group["id"])

    def latest(type_: str) -> Callable[[], Any]:
        return lambda: list_latest_of_type(tenant_id, type_, other_than=group_id, limit=10)

    def queue(name: str) -> Callable[[], Any]:
        return lambda: (
            find_queue(tenant_id, name, most_counted=1000),
            list_busy_keys(tenant_id, name),
            read_ends(tenant_id, [name]),
        )

    names = [f"queue-{number}" for number in range(20)]
    return {
        "read a page of queues": lambda: (
            list_queues(tenant_id, limit=50, most_counted=200),
            read_ends(tenant_id, names),
            read_used_rates(tenant_id, names),
        ),
        "read a queue with its keys": queue("queue-5"),
        "read the latest of a type": latest("type-1"),
        "read the latest of a type of long ago": latest("rare"),
        "read jobs by state, capped": lambda: count_states(tenant_id),
        "read queues by oldest wait": lambda: rank_queues(tenant_id),
        "read a page of jobs": jobs(),
        "read a page of discarded jobs": jobs(state="discarded"),
        "read a page of jobs of an error": jobs(error_group=group_id, state="discarded"),
        "read a page of jobs of a type": jobs(type="type-1"),
        "read a page of jobs of a rare type": jobs(type="rare"),
        "read a page of jobs of a rare queue": jobs(queue="rare"),
        "read a page of waiting jobs of a queue": jobs(state="available", queue="queue-5"),
        "read a page of error groups": lambda: list_error_groups(tenant_id, ErrorFilters(), limit=50),
        "read an hour by minute": series("1m", hours=1),
        "read a day by 15 minutes": series("15m", days=1),
        "read 30 days by 6 hours": series("6h", days=30),
        "read 30 days of a queue by day": series("1d", StatisticFilters(queue="queue-1"), days=30),
        "read a day of a queue by 15 minutes": series("15m", StatisticFilters(queue="queue-1"), days=1),
        "read failing types of an hour": types(hours=1),
        "read failing types of a day": types(days=1),
        "read failing types of 30 days": types(days=30),
    }


def time_read(read: Callable[[], Any]) -> float:
    """The median in milliseconds; the first time, which plans, is left out."""
    read()
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        read()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def _id_of(text: str) -> UUID:
    from jobservice.ids import ERROR_GROUP, parse_id

    group_id = parse_id(ERROR_GROUP, text)
    assert group_id is not None
    return group_id


if __name__ == "__main__":
    main()
