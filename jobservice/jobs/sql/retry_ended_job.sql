-- retry of a job that is over: its row forgets its end, and it gets a live row again, under a new epoch.
-- The job's row is locked already, and its lane exists and is shared. Index: primary keys, lane's unique constraint.
WITH again AS (
  UPDATE job j
  SET final_state = NULL, finished_at = NULL, end_event_id = NULL, result_id = NULL, error_code = NULL, error_id = NULL,
      error_epoch = NULL, error_group_id = NULL, last_started_at = NULL, start_deadline_at = NULL, crash_count = 0, epoch = j.epoch + 1,
      max_attempts = greatest(j.max_attempts, j.attempt + 1)
  WHERE j.tenant_id = %(tenant)s AND j.id = %(job)s AND j.final_state IS NOT NULL
  RETURNING j.*
)
INSERT INTO job_live (job_id, tenant_id, lane_id, pool, type, state, rank, priority, due_at, available_at,
                      first_started_at, epoch, attempt, concurrency_hash)
SELECT again.id, again.tenant_id, %(lane)s, again.pool, again.type, 'available',
       clock_timestamp() + again.priority * make_interval(secs => %(priority_step_seconds)s::float8), again.priority,
       clock_timestamp(), clock_timestamp(), again.first_started_at, again.epoch, again.attempt,
       again.concurrency_hash
FROM again
RETURNING lane_id
