-- How long the job has been due that waits longest, by pool. Indexes: share_turn and lane_turn give the lanes in turn
-- order, job_ready the first job of each; job_due the first that nobody staged yet. What is blocked or parked waits on
-- purpose and does not count.
WITH turn AS MATERIALIZED (
  SELECT lane.id, lane.pool
  FROM (
    SELECT tenant_id, pool FROM share WHERE is_active AND blocked_by IS NULL
    ORDER BY pool, vtime, tenant_id LIMIT %(lanes)s
  ) AS next
  JOIN lane ON lane.tenant_id = next.tenant_id AND lane.pool = next.pool
  WHERE lane.is_active AND lane.blocked_by IS NULL
  LIMIT %(lanes)s
), first AS (
  SELECT turn.pool, top.due_at
  FROM turn CROSS JOIN LATERAL (
    SELECT due_at FROM job_live WHERE lane_id = turn.id AND state = 'available' AND NOT is_parked ORDER BY rank, job_id LIMIT 1
  ) AS top
  UNION ALL
  (SELECT pool, due_at FROM job_live WHERE state IN ('scheduled', 'retryable') ORDER BY due_at, job_id LIMIT 1)
)
SELECT pool, greatest(0, extract(epoch FROM clock_timestamp() - min(due_at)))::float8 AS seconds FROM first GROUP BY pool
