"""Writes how the server carries out the fair claim, beside its statements: jobservice/jobs/sql/claim_jobs.plan.txt.

`python -m tests.benchmarks.explain_claim`: a claim of 200 from 1,000,000 jobs of 1,000 tenants, as in the measurement.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import psycopg

from jobservice.jobs.claim_steps import Step
from jobservice.statements import number_parameters, read_statement
from tests.benchmarks.effort import Effort
from tests.benchmarks.measurements.claims import LIMIT, SQL, claim_on, claims_database, fill, run_on
from tests.benchmarks.servers import running_servers

# In the order in which a claim runs them.
STATEMENTS = ("lock_shares.sql", "read_turns.sql", "claim_jobs.sql", "move_turns.sql")
PLAN = SQL / "claim_jobs.plan.txt"
TENANTS = 1_000


def main() -> int:
    jobs = Effort().claim_jobs
    with running_servers() as servers, claims_database(servers) as connection:
        fill(connection, tenants=TENANTS, jobs=jobs)
        version = connection.info.server_version // 10_000
        lines = [
            f"A claim of {LIMIT} from {jobs:,} jobs of {TENANTS:,} tenants, PostgreSQL {version}.",
            f"Of the statements with the SHA-256 {fingerprint()}.",
            *_explain(connection),
        ]
    PLAN.write_text("\n".join(lines) + "\n")
    return 0


def fingerprint() -> str:
    """Of the statements as they are run, without their comments."""
    return sha256("".join(read_statement(SQL / name) for name in STATEMENTS).encode()).hexdigest()


def _explain(connection: psycopg.Connection) -> list[str]:
    lines = []
    run = run_on(connection)

    def explain_and_run(steps: Sequence[Step]) -> list[list[Any]]:
        told = []
        # One by one: what is explained after another one finds what that one has done.
        for name, parameters in steps:
            lines.extend(["", f"{name}:", "", *_plan(connection, name, parameters)])
            told += run([(name, parameters)])
        return told

    connection.execute("SET plan_cache_mode = force_generic_plan")
    with connection.transaction(force_rollback=True):
        claim_on(explain_and_run)
    return lines


def _plan(connection: psycopg.Connection, name: str, parameters: Mapping[str, Any]) -> list[str]:
    """Carried out, and undone."""
    text, names = number_parameters(read_statement(SQL / name))
    plan = f"explained_{name.partition('.')[0]}"
    with connection.transaction(force_rollback=True), psycopg.ClientCursor(connection) as cursor:
        cursor.execute(f"PREPARE {plan} AS {text.decode()}".encode())
        values = ", ".join(["%s"] * len(names))
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) EXECUTE {plan} ({values})", [parameters[name] for name in names])
        found = [line for (line,) in cursor.fetchall()]
        cursor.execute(f"DEALLOCATE {plan}".encode())
    # Identifiers are made anew each time, and say nothing.
    return [re.sub(r"'\{[0-9a-f,-]{36,}\}'", "'{...}'", line) for line in found]


if __name__ == "__main__":
    sys.exit(main())
