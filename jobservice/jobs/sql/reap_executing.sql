-- A run whose worker fell silent: a crash is counted; the third holds the job. Index: job_held.
-- Returns the row as it ran (epoch and attempt of the crash), for its attempt.
WITH dead AS MATERIALIZED (
  SELECT job_id, epoch, worker_id, started_at FROM job_live
  WHERE state = 'executing' AND lease_until < clock_timestamp()
  ORDER BY job_id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE job_live l
SET state = CASE WHEN l.crash_count + 1 >= %(crashes_to_suspend)s THEN 'suspended' ELSE 'available' END,
    suspended_reason = CASE WHEN l.crash_count + 1 >= %(crashes_to_suspend)s THEN 'crashed three times' END,
    crash_count = l.crash_count + 1, epoch = l.epoch + 1, available_at = clock_timestamp(),
    lease_until = NULL, worker_id = NULL, group_id = NULL, started_at = NULL,
    error_code = 'crashed', error_id = NULL, error_epoch = NULL
FROM dead WHERE l.job_id = dead.job_id
RETURNING l.tenant_id, l.job_id, l.lane_id, l.pool, l.state, l.attempt, dead.epoch, dead.worker_id, dead.started_at,
          clock_timestamp() AS reaped_at
