-- Lanes in turn whose next job has been due for long, and deliveries likewise. What is blocked waits on purpose.
-- Indexes: share_turn and lane_turn give the lanes, job_ready the top of each; delivery_due.
SELECT turn.pool, count(*)::integer AS lanes, extract(epoch FROM max(clock_timestamp() - next.due_at))::float8 AS seconds
FROM (
  SELECT lane.id, lane.pool
  FROM (
    SELECT share.tenant_id, share.pool FROM share
    JOIN tenant ON tenant.id = share.tenant_id AND tenant.status = 'active'
    WHERE share.is_active AND share.blocked_by IS NULL
    ORDER BY share.pool, share.vtime, share.tenant_id LIMIT %(limit)s
  ) AS next
  JOIN lane ON lane.tenant_id = next.tenant_id AND lane.pool = next.pool
  WHERE lane.is_active AND lane.blocked_by IS NULL
  LIMIT %(limit)s
) AS turn
CROSS JOIN LATERAL (
  SELECT due_at FROM job_live WHERE job_live.lane_id = turn.id AND job_live.state = 'available' AND NOT job_live.is_parked
  ORDER BY rank, job_id LIMIT 1
) AS next
WHERE next.due_at < clock_timestamp() - make_interval(secs => %(noted_seconds)s)
GROUP BY turn.pool
UNION ALL
SELECT 'deliveries', 1, extract(epoch FROM clock_timestamp() - first.due_at)::float8
FROM (SELECT due_at FROM delivery_live WHERE state = 'pending' ORDER BY due_at, delivery_id LIMIT 1) AS first
WHERE first.due_at < clock_timestamp() - make_interval(secs => %(noted_seconds)s)
ORDER BY 1
