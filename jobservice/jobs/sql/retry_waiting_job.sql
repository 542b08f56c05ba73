-- retry of a job that waits or is held: it runs at once, its crashes are forgiven, and a try is left.
-- The row is locked already; guarded once more on state and epoch. Index: primary keys.
WITH again AS (
  UPDATE job_live l
  SET state = 'available', epoch = l.epoch + 1, due_at = clock_timestamp(), available_at = clock_timestamp(),
      rank = clock_timestamp() + l.priority * make_interval(secs => %(priority_step_seconds)s::float8),
      crash_count = 0, suspended_reason = NULL, start_deadline_at = NULL
  WHERE l.tenant_id = %(tenant)s AND l.job_id = %(job)s AND l.epoch = %(epoch)s
    AND l.state IN ('retryable', 'suspended')
  RETURNING l.tenant_id, l.job_id, l.lane_id, l.attempt
), allowed AS (
  UPDATE job j SET max_attempts = greatest(j.max_attempts, again.attempt + 1), start_deadline_at = NULL
  FROM again WHERE j.id = again.job_id AND j.tenant_id = again.tenant_id
)
SELECT lane_id FROM again
