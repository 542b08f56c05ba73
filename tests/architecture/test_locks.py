"""No statement that locks rows joins a partitioned table as well.

When a row that is locked has changed since the statement began, PostgreSQL 18 checks it again with the run-time pruning
of the whole statement, and its backend has died there (signal 11 in perform_pruning_base_step), which takes every
connection with it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
STATEMENTS = sorted(path for path in ROOT.glob("*/**/sql/*.sql") if ".venv" not in path.parts)
_LOCKS = re.compile(r"\bFOR (NO KEY UPDATE|UPDATE|SHARE|KEY SHARE)\b")


def partitioned_tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'p'")
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.django_db
def test_no_statement_that_locks_rows_joins_partitions() -> None:
    tables = partitioned_tables()
    assert {"job", "blob", "event", "delivery"} <= tables
    wanted = re.compile(rf"\b(?:FROM|JOIN|UPDATE|USING)\s+({'|'.join(sorted(tables))})\b", re.IGNORECASE)
    faults = []
    for path in STATEMENTS:
        text = re.sub(r"--[^\n]*", "", path.read_text())
        found = {name.lower() for name in wanted.findall(text)}
        # A lock on rows of one partitioned table alone joins nothing.
        is_join = len(re.findall(r"\b(?:FROM|JOIN|UPDATE|USING)\s+[a-z_]+", text, re.IGNORECASE)) > 1
        if _LOCKS.search(text) and found and is_join and "CREATE " not in text:
            faults.append(f"{path.name}: {sorted(found)}")
    assert faults == []
