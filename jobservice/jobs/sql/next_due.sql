-- How long the dispatcher may sleep. Index: job_due.
SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 AS seconds
FROM job_live WHERE state IN ('scheduled', 'retryable')
