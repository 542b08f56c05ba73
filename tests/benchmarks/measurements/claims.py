"""A fair claim of 200 from 1,000,000 waiting jobs of 50, 1,000 and 10,000 tenants, all limits on, against a FIFO one.

In a database of its own, in which nothing but live jobs and their lanes is made: a claim reads and writes nothing else.
Each claim is committed, and its jobs are over before the next: never rolled back, because psycopg forgets what it has
prepared then, and the server would plan each claim anew, which no dispatcher has it do. What is timed ends before the
commit, which costs both the same. Hundreds of claims, because the first ones after a vacuum are no measure of those
that follow: what was taken stays in the indexes until the next one, and who takes the oldest looks through all of it.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import psycopg

from jobservice.jobs.claim_steps import Reach, Run, look_once
from jobservice.statements import execute_statement, execute_together, read_statement
from tests.benchmarks.bench import Bench
from tests.benchmarks.cpu import exact_cpu_seconds
from tests.benchmarks.faults import CannotMeasure
from tests.benchmarks.figures import Figure, at_most_times
from tests.benchmarks.servers import PYTHON, ROOT, Servers, as_superuser, made_database, python_environment

NAME = "bench_claims"
LIMIT = 200
# The server plans a statement for its parameters five times, before it keeps a plan for all of them.
UNTIMED = 6
SQL = ROOT / "jobservice" / "jobs" / "sql"

MAKE = """
ALTER TABLE audit_event DISABLE TRIGGER USER;
ALTER TABLE audit_head DISABLE TRIGGER USER;
TRUNCATE job_live, lane, share, claim_gate, queue, tenant CASCADE;
INSERT INTO tenant (id, name) SELECT gen_random_uuid(), 'tenant-' || n FROM generate_series(1, {tenants}) AS n;
INSERT INTO queue (id, tenant_id, name, concurrency, rate)
SELECT gen_random_uuid(), id, 'default', 150, '{{"limit": 1000000, "period_seconds": 1, "burst": 1000000}}' FROM tenant;
INSERT INTO claim_gate SELECT id FROM tenant;
INSERT INTO share (tenant_id, pool, is_drained) SELECT id, 'handlers', false FROM tenant;
INSERT INTO lane (tenant_id, queue, pool, is_drained) SELECT id, 'default', 'handlers', false FROM tenant;
INSERT INTO job_live (job_id, tenant_id, lane_id, pool, type, state, rank, priority, due_at, available_at)
-- A job of each tenant every millisecond, whose ids begin with it, as all that the service makes (UUIDv7): were they
-- random, each entry of an index would be written to a page of its own, and most of both claims would be that.
SELECT (lpad(to_hex((extract(epoch FROM moment.at) * 1000)::bigint), 12, '0') || '7' || substr(moment.seed, 1, 3)
        || '8' || substr(moment.seed, 4, 15))::uuid,
       lane.tenant_id, lane.id, 'handlers', 'echo', 'available', moment.at, 0, now(), now()
FROM generate_series(1, {jobs} / {tenants}) AS n CROSS JOIN lane CROSS JOIN LATERAL (
  SELECT now() - interval '1 hour' + n * interval '1 ms' AS at, md5(n || '.' || lane.id) AS seed
) AS moment
ORDER BY n;
-- One of each tenant is under way, so that there are slots to count.
INSERT INTO job_live (job_id, tenant_id, lane_id, pool, type, state, rank, priority, due_at, available_at, epoch,
                      dispatched_at, lease_until)
SELECT gen_random_uuid(), tenant_id, id, 'handlers', 'echo', 'dispatched', now(), 0, now(), now(), 1, now(),
       now() + interval '1 hour'
FROM lane;
CREATE INDEX IF NOT EXISTS bench_fifo ON job_live (pool, rank, job_id) WHERE state = 'available';
"""
# Every second tenant has as many jobs under way as it may.
CAP = """
UPDATE tenant SET quotas = '{"running": 2}' WHERE id IN (SELECT tenant_id FROM lane WHERE id % 2 = 0);
UPDATE job_live SET state = 'dispatched', epoch = 1, dispatched_at = now(), lease_until = now() + interval '1 hour'
WHERE job_id IN (
  SELECT first.job_id FROM lane CROSS JOIN LATERAL (
    SELECT job_id FROM job_live WHERE lane_id = lane.id AND state = 'available' LIMIT 1
  ) AS first WHERE lane.id % 2 = 0);
"""
# It writes the same to the rows of jobs and tells the same of them. Said so that its plan is kept, too: with a bare
# LIMIT, or joined, the server would plan it each time, or read the whole table.
FIFO = """
UPDATE job_live SET state = 'dispatched', epoch = epoch + 1, dispatched_at = clock_timestamp(),
                    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
WHERE job_id = ANY (ARRAY(
  SELECT job_id FROM job_live WHERE pool = %(pool)s AND state = 'available'
  ORDER BY rank, job_id LIMIT (SELECT %(limit)s::bigint) FOR UPDATE SKIP LOCKED))
RETURNING tenant_id, job_id, epoch, type, crash_count
"""
# What was claimed here is over.
END = "DELETE FROM job_live WHERE job_id = ANY (%s)"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a claim takes."""

    ms: float
    cpu_ms: float


def measure(bench: Bench) -> list[Figure]:
    found = []
    with claims_database(bench.site.servers) as connection:
        for tenants in bench.effort.claim_tenants:
            fill(connection, tenants=tenants, jobs=bench.effort.claim_jobs)
            # In turn, so that what else the machine does falls on both.
            found += _figures(f"a fair claim, {tenants:,} tenants", *_both(connection, bench.effort.claims))
            connection.execute(CAP)
            _settle(connection)
            # What is at its limit leaves the sight of the claims after the first that meet it.
            _hide_capped(connection)
            capped = f"a fair claim, {tenants:,} tenants, half of them at a limit"
            found += _figures(capped, *_both(connection, bench.effort.claims))
    return found


def _figures(name: str, fair: Cost, fifo: Cost) -> list[Figure]:
    rival = "a plain FIFO claim of as many"
    figures = [
        Figure(name=name, unit="ms", ours=fair.ms, theirs=fifo.ms, rival=rival, target=at_most_times(1.5)),
        # What it takes of a processor, server and client together, says more where others use the machine, too.
        Figure(name=f"{name}: processor time", unit="ms", ours=fair.cpu_ms, theirs=fifo.cpu_ms, rival=rival),
    ]
    # On another machine than ours the server's time is not told.
    return figures[:1] if fair.cpu_ms == 0 else figures


@contextmanager
def claims_database(servers: Servers) -> Iterator[psycopg.Connection]:
    """A database with the tables and nothing in them; a superuser's connection."""
    with made_database(servers, NAME) as owner_url, tempfile.TemporaryDirectory() as folder:
        environment = python_environment(DATABASE_URL=owner_url, JOBSERVICE_DATA_DIR=folder)
        done = subprocess.run(
            [PYTHON, "manage.py", "prepare"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotMeasure(f"{NAME} has no tables: {done.stderr.strip()[-500:]}")
        # A superuser, for whom the dispatcher's policies (which show all) cost nothing either.
        with psycopg.connect(as_superuser(servers, NAME), autocommit=True) as connection:
            yield connection


def fill(connection: psycopg.Connection, *, tenants: int, jobs: int) -> None:
    """So many waiting jobs, evenly of so many tenants, and nothing else."""
    connection.execute(MAKE.format(tenants=tenants, jobs=jobs))
    _settle(connection)


def _settle(connection: psycopg.Connection) -> None:
    connection.execute("VACUUM (ANALYZE) job_live")
    connection.execute("VACUUM (ANALYZE) lane")
    connection.execute("VACUUM (ANALYZE) share")


def _both(connection: psycopg.Connection, claims: int) -> tuple[Cost, Cost]:
    """Medians: of ours, and of the FIFO one."""
    fair, fifo = [], []
    for round_ in range(UNTIMED + claims):
        costs = _cost(connection, lambda: _claim(connection)), _cost(connection, lambda: _claim_in_order(connection))
        if round_ >= UNTIMED:
            fair.append(costs[0])
            fifo.append(costs[1])
    return _median(fair), _median(fifo)


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(cost.ms for cost in costs), statistics.median(cost.cpu_ms for cost in costs))


def _cost(connection: psycopg.Connection, act: Callable[[], list[UUID]]) -> Cost:
    with connection.transaction():
        spent, begun = _spent(connection), time.perf_counter()
        taken = act()
        ms, cpu_ms = (time.perf_counter() - begun) * 1000, (_spent(connection) - spent) * 1000
    connection.execute(END, [taken])
    if len(set(taken)) != LIMIT:
        raise CannotMeasure(f"A claim took {len(set(taken))} jobs, not {LIMIT}.")
    return Cost(ms, cpu_ms)


def _spent(connection: psycopg.Connection) -> float:
    """Processor time so far of the server's process and of this one; 0 where the server's is not told."""
    server = exact_cpu_seconds(connection.info.backend_pid)
    return server + time.process_time() if server else 0.0


def run_on(connection: psycopg.Connection) -> Run:
    """Runs the statements of a claim, as the dispatcher does, on a connection of our own."""
    return lambda steps: execute_together(
        connection, [(_statement(name), parameters) for name, parameters in steps], prepare=True
    )


@cache
def _statement(name: str) -> str:
    return read_statement(SQL / name)


def claim_on(run: Run) -> list[UUID]:
    look = look_once(run, "handlers", limit=LIMIT, lease_seconds=30, reach=Reach())
    return [row.job_id for row in look.jobs] if look else []


def _claim(connection: psycopg.Connection) -> list[UUID]:
    return claim_on(run_on(connection))


def _claim_in_order(connection: psycopg.Connection) -> list[UUID]:
    parameters = {"pool": "handlers", "limit": LIMIT, "lease_seconds": 30}
    return [row.job_id for row in execute_statement(connection, FIFO, parameters, prepare=True)]


def _hide_capped(connection: psycopg.Connection) -> None:
    for _ in range(10_000):
        # The jobs come back, what was hidden stays so.
        with connection.transaction():
            _claim(connection)
            connection.execute(
                "UPDATE job_live SET state = 'available', lease_until = NULL, dispatched_at = NULL "
                "WHERE state = 'dispatched' AND lease_until < now() + interval '10 minutes'"
            )
        left = connection.execute(
            "SELECT count(*) FROM share JOIN tenant ON tenant.id = share.tenant_id "
            "WHERE tenant.quotas <> '{}' AND share.blocked_by IS NULL"
        ).fetchone()
        if left == (0,):
            return
    raise CannotMeasure("Tenants at their limit stay in sight.")
