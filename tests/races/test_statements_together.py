"""Statements that travel together are each as young as if they had been sent alone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from jobservice.statements import run_together

# Of nobody else's advisory locks.
LOCK = 470_110_815


def test_statements_that_are_sent_together_each_see_what_is_committed_before_they_begin(
    tmp_path: Path, committed: None
) -> None:
    wait = statement(tmp_path / "wait.sql", f"SELECT pg_advisory_xact_lock({LOCK})")
    count = statement(tmp_path / "count.sql", "SELECT count(*) FROM tenant WHERE name = %(name)s")
    other = connection.copy()
    with other.cursor() as cursor, ThreadPoolExecutor(1) as threads:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        counted = threads.submit(in_a_transaction, [(wait, {}), (count, {"name": "seen"})])
        wait_for_a_waiting_lock(cursor)
        cursor.execute("INSERT INTO tenant (id, name) VALUES (gen_random_uuid(), 'seen')")
        cursor.execute("COMMIT")
        assert counted.result(timeout=30)[1] == [(1,)]
    other.close()


def statement(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def in_a_transaction(steps: list[tuple[Path, dict[str, str]]]) -> list[list[Any]]:
    try:
        with transaction.atomic():
            return run_together(steps)
    finally:
        connection.close()


def wait_for_a_waiting_lock(cursor: Any) -> None:
    for _ in range(3000):
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", [LOCK]
        )
        if cursor.fetchone() == (1,):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for the lock")
