-- Unfinished jobs of some queues of one tenant by state, each lane's exact as far as the limit goes, and when the one was
-- due that waits longest. Indexes: job_ready, job_parked and job_put_off lane by lane, so that each stops at the
-- limit; job_slots. A job is overtaken in its lane by later ones of a better priority, hence the earliest of all that are
-- counted and not the first.
WITH lanes AS MATERIALIZED (
  SELECT id, queue, pool FROM lane WHERE tenant_id = %(tenant)s AND queue = ANY (%(queues)s)
), found AS (
  SELECT lanes.queue, 'available' AS state, ready.jobs, ready.due_at
  FROM lanes CROSS JOIN LATERAL (
    SELECT count(*) AS jobs, min(first.due_at) AS due_at
    FROM (
      (SELECT due_at FROM job_live
       WHERE lane_id = lanes.id AND state = 'available' AND NOT is_parked ORDER BY rank, job_id LIMIT %(limit)s + 1)
      UNION ALL
      (SELECT due_at FROM job_live
       WHERE lane_id = lanes.id AND is_parked AND NOT is_throttled
       ORDER BY concurrency_hash, rank, job_id LIMIT %(limit)s + 1)
      UNION ALL
      (SELECT due_at FROM job_live
       WHERE lane_id = lanes.id AND is_parked AND is_throttled
       ORDER BY concurrency_hash, rank, job_id LIMIT %(limit)s + 1)
    ) AS first
  ) AS ready
  UNION ALL
  SELECT lanes.queue, put_off.state, later.jobs, CASE WHEN put_off.state <> 'suspended' THEN later.due_at END
  FROM lanes CROSS JOIN (VALUES ('scheduled'), ('retryable'), ('suspended')) AS put_off (state) CROSS JOIN LATERAL (
    SELECT count(*) AS jobs, min(first.due_at) AS due_at
    FROM (
      SELECT due_at FROM job_live
      WHERE lane_id = lanes.id AND state IN ('scheduled', 'retryable', 'suspended') AND state = put_off.state
      ORDER BY due_at LIMIT %(limit)s + 1
    ) AS first
  ) AS later
  UNION ALL
  SELECT lanes.queue, held.state, taken.jobs, NULL
  FROM lanes CROSS JOIN (VALUES ('dispatched'), ('executing')) AS held (state) CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM job_live
    WHERE tenant_id = %(tenant)s AND lane_id = lanes.id AND state IN ('dispatched', 'executing') AND state = held.state
  ) AS taken
), moment AS MATERIALIZED (
  SELECT clock_timestamp() AS now
)
SELECT queue, state, sum(jobs)::integer AS jobs,
       bool_or(jobs > %(limit)s AND state NOT IN ('dispatched', 'executing')) AS is_cut,
       min(due_at) FILTER (WHERE due_at <= now) AS oldest_due_at,
       floor(extract(epoch FROM now - min(due_at) FILTER (WHERE due_at <= now)))::integer AS oldest_due_seconds
FROM found CROSS JOIN moment
WHERE jobs > 0
GROUP BY queue, state, now
