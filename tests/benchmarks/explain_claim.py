"""Writes how the server carries out the fair claim, beside its statement: jobservice/jobs/sql/claim_jobs.plan.txt.

`python -m tests.benchmarks.explain_claim`: a claim of 200 from 1,000,000 jobs of 1,000 tenants, as in the measurement.
"""

from __future__ import annotations

import re
import sys
from hashlib import sha256

import psycopg

from jobservice.statements import read_statement
from tests.benchmarks.effort import Effort
from tests.benchmarks.measurements.claims import LIMIT, SQL, bound_parameters, claims_database, fill
from tests.benchmarks.servers import running_servers

STATEMENT = SQL / "claim_jobs.sql"
PLAN = SQL / "claim_jobs.plan.txt"
TENANTS = 1_000


def main() -> int:
    jobs = Effort().claim_jobs
    with running_servers() as servers, claims_database(servers) as connection:
        fill(connection, tenants=TENANTS, jobs=jobs)
        version = connection.info.server_version // 10_000
        lines = [
            f"A claim of {LIMIT} from {jobs:,} jobs of {TENANTS:,} tenants, PostgreSQL {version}.",
            f"Of the statement with the SHA-256 {fingerprint()}.",
            "",
            *_explain(connection),
        ]
    PLAN.write_text("\n".join(lines) + "\n")
    return 0


def fingerprint() -> str:
    """Of the statement as it is run, without its comments."""
    return sha256(read_statement(STATEMENT).encode()).hexdigest()


def _explain(connection: psycopg.Connection) -> list[str]:
    with connection.transaction(force_rollback=True), psycopg.ClientCursor(connection) as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {read_statement(STATEMENT)}", bound_parameters(connection))
        plan = [line for (line,) in cursor.fetchall()]
    # Identifiers are made anew each time, and say nothing.
    return [re.sub(r"'\{[0-9a-f,-]{72,}\}'", "'{...}'", line) for line in plan]


if __name__ == "__main__":
    sys.exit(main())
