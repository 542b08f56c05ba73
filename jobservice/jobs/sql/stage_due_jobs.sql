-- a job becomes due: its time of run_at or of its backoff has come. Index: job_due.
WITH due AS MATERIALIZED (
  SELECT job_id FROM job_live
  WHERE state IN ('scheduled', 'retryable') AND due_at <= clock_timestamp()
  ORDER BY due_at, job_id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE job_live l
SET state = 'available', available_at = clock_timestamp(), rank = l.due_at + l.priority * interval '60 seconds'
FROM due WHERE l.job_id = due.job_id
RETURNING l.lane_id
