"""The database itself refuses what a job cannot be: each illegal row breaks the rule that is about it."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from jobservice.database import violated_constraint
from tests.factories import Tenant
from tests.jobs.lives import make_life

pytestmark = [pytest.mark.django_db, pytest.mark.deep]

# The state it is in, what is written over it, and the rule that refuses it.
LIVE = [
    ("available", "state = 'waiting'", "job_live_state_check"),
    ("available", "priority = 10", "job_live_priority"),
    ("available", "available_at = NULL", "job_live_available"),
    ("dispatched", "available_at = NULL", "job_live_available"),
    ("scheduled", "available_at = due_at", "job_live_available"),
    ("available", "lease_until = due_at", "job_live_check"),
    ("dispatched", "lease_until = NULL", "job_live_check"),
    ("executing", "lease_until = NULL", "job_live_check"),
    ("dispatched", "epoch = 0", "job_live_claim"),
    ("dispatched", "dispatched_at = NULL", "job_live_claim"),
    ("executing", "dispatched_at = NULL", "job_live_claim"),
    ("dispatched", "worker_id = job_id", "job_live_check"),
    ("executing", "worker_id = NULL", "job_live_check"),
    ("dispatched", "group_id = job_id", "job_live_check"),
    ("executing", "group_id = NULL", "job_live_check"),
    ("suspended by crashes", "suspended_reason = NULL", "job_live_check"),
    ("available", "suspended_reason = 'crashes'", "job_live_check"),
    ("suspended by crashes", "suspended_reason = 'tired'", "job_live_suspended_reason"),
    ("suspended by crashes", "crash_count = 0", "job_live_quarantine"),
    ("executing", "attempt = 0", "job_live_check"),
    ("executing", "epoch = 0", "job_live_check"),
    ("executing", "first_started_at = NULL", "job_live_first_start"),
    ("executing", "started_at = NULL", "job_live_start_of_run"),
    ("available", "started_at = due_at", "job_live_start_of_run"),
    ("available", "cancel_requested = true", "job_live_cancel_of_run"),
    ("dispatched", "is_async = true", "job_live_async_run"),
    ("retryable", "progress_percent = 10", "job_live_report_of_run"),
    ("retryable", "log_id = job_id", "job_live_report_of_run"),
    ("executing", "progress_percent = 101", "job_live_progress_percent_check"),
    ("available", "attempt = -1", "job_live_counts"),
    ("available", "crash_count = 1", "job_live_counts"),
    ("available", "epoch = -1", "job_live_counts"),
    ("retryable", "attempt = 0", "job_live_failure"),
    ("retryable", "error_code = NULL, error_id = NULL, error_epoch = NULL", "job_live_failure"),
    ("retryable", "error_epoch = NULL", "job_live_error"),
    ("available", "error_id = job_id", "job_live_error"),
    ("available", "is_parked = true", "job_live_parked"),
    ("scheduled", "is_parked = true, is_throttled = true", "job_live_parked"),
    ("available", "is_throttled = true", "job_live_throttled"),
]
ENDED = [
    ("cancelled", "final_state = 'finished'", "job_final_state_check"),
    ("completed", "finished_at = NULL", "job_check"),
    ("available", "finished_at = run_at", "job_check"),
    ("completed", "end_event_id = NULL", "job_check"),
    ("available", "end_event_id = id", "job_check"),
    ("available", "final_state = 'completed'", "job_check"),
    ("discarded", "result_id = id", "job_check"),
    ("cancelled", "result_id = id", "job_check"),
    ("available", "result_id = id", "job_unfinished"),
    ("available", "error_code = 'crashed'", "job_unfinished"),
    ("available", "last_started_at = run_at", "job_unfinished"),
    ("completed", "attempt = 0", "job_completed_run"),
    ("completed", "last_started_at = NULL", "job_completed_run"),
    ("completed", "error_code = 'failed'", "job_end_reason"),
    ("discarded", "error_code = NULL, error_id = NULL, error_epoch = NULL", "job_end_reason"),
    ("cancelled", "error_code = NULL", "job_end_reason"),
    ("discarded", "error_epoch = NULL", "job_error"),
    ("cancelled", "error_id = id, error_epoch = 1", "job_error"),
    ("cancelled", "attempt = 1, error_code = 'expired', error_id = id, error_epoch = 1", "job_error"),
    ("cancelled", "crash_count = 1", "job_counts"),
    ("cancelled", "attempt = -1", "job_counts"),
    ("cancelled", "epoch = -1", "job_counts"),
    ("available", "priority = 10", "job_priority_check"),
    ("available", "max_attempts = 0", "job_max_attempts_check"),
    ("available", "on_crash = 'ignore'", "job_on_crash_check"),
]
KEYS = [
    ("available", "unique_while = NULL", "job_unique_key"),
    ("available", "unique_hash = NULL", "job_unique_key"),
    ("available", "unique_hash = '\\x00'", "job_unique_key"),
    ("available", "unique_while = 'running'", "job_unique_while_check"),
]
CLAIMS = [
    ("available", "held_while = NULL", "unique_claim_held"),
    ("available", "held_while = 'always'", "unique_claim_held_while_check"),
    ("available", "hash = '\\x00'", "unique_claim_hash_check"),
]
ATTEMPTS = [
    ("completed", "outcome = 'done'", "attempt_outcome_check"),
    ("completed", "number = 0", "attempt_of_claim"),
    ("completed", "epoch = 0", "attempt_of_claim"),
    ("completed", "finished_at = started_at - interval '1 second'", "attempt_times"),
    ("discarded", "result_id = id", "attempt_result"),
    ("discarded", "error_code = NULL", "attempt_error"),
    ("completed", "error_id = id", "attempt_error"),
]

TABLES = (("job_live", LIVE), ("job", ENDED + KEYS), ("unique_claim", CLAIMS), ("attempt", ATTEMPTS))


def write(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("table", "how", "assignment", "rule"),
    [(table, *row) for table, rows in TABLES for row in rows],
)
def test_an_illegal_row_is_refused(tenant: Tenant, table: str, how: str, assignment: str, rule: str) -> None:
    make_life(tenant, how)
    # Of the attempts, that of the run that ended last.
    newest = " WHERE epoch = (SELECT max(epoch) FROM attempt)" if table == "attempt" else ""
    with pytest.raises(IntegrityError) as refused:
        write(f"UPDATE {table} SET {assignment}{newest}")
    # The first tables' rules have names that PostgreSQL made and numbered: job_check, job_check1, …
    assert (violated_constraint(refused.value) or "").rstrip("123456789") == rule


@pytest.mark.parametrize("column", ["tenant_id", "lane_id", "pool", "type", "rank", "due_at", "cancel_requested"])
def test_no_live_job_is_without_what_moves_it(tenant: Tenant, column: str) -> None:
    make_life(tenant, "available")
    with pytest.raises(IntegrityError):
        write(f"UPDATE job_live SET {column} = NULL")
