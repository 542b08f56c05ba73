-- expire, the fence: jobs that did not start in time. Index: job_start_deadline.
-- Whoever else holds a row is about to move it; the next turn looks again.
SELECT tenant_id, job_id, epoch FROM job_live
WHERE start_deadline_at <= clock_timestamp() AND first_started_at IS NULL
  AND state IN ('scheduled', 'available', 'dispatched')
ORDER BY start_deadline_at, job_id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
