-- How long the job has been due that waits longest, by pool. Indexes: lane_turn gives the lanes in turn order, job_ready
-- the first job of each; job_due the first that nobody staged yet. Blocked lanes wait on purpose and do not count.
WITH turn AS MATERIALIZED (
  SELECT id, pool FROM lane WHERE is_active AND blocked_until IS NULL ORDER BY vtime, id LIMIT %(lanes)s
), first AS (
  SELECT turn.pool, top.due_at
  FROM turn CROSS JOIN LATERAL (
    SELECT due_at FROM job_live WHERE lane_id = turn.id AND state = 'available' ORDER BY rank, job_id LIMIT 1
  ) AS top
  UNION ALL
  (SELECT pool, due_at FROM job_live WHERE state IN ('scheduled', 'retryable') ORDER BY due_at, job_id LIMIT 1)
)
SELECT pool, greatest(0, extract(epoch FROM clock_timestamp() - min(due_at)))::float8 AS seconds FROM first GROUP BY pool
