-- Scheduled and retryable jobs whose time came a while ago. Index: job_due, walked in order and left at the limit.
SELECT count(*)::integer AS count, extract(epoch FROM max(clock_timestamp() - due_at))::float8 AS seconds
FROM (
  SELECT due_at FROM job_live
  WHERE state IN ('scheduled', 'retryable')
    AND due_at < statement_timestamp() - make_interval(secs => %(grace_seconds)s)
  ORDER BY due_at, job_id LIMIT %(limit)s
) AS late
