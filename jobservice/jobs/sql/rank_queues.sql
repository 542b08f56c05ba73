-- Queues of a tenant by how long the job waits whose turn is next, and how many wait, counted as far as each lane's part
-- of all entries goes. Index: job_ready, lane by lane.
WITH lanes AS MATERIALIZED (
  SELECT id, queue, least(1000, greatest(50, %(entries)s / count(*) OVER ())) AS cap FROM lane
  WHERE tenant_id = %(tenant)s
), moment AS MATERIALIZED (
  SELECT clock_timestamp() AS now
), found AS (
  SELECT lanes.queue, lanes.cap, first.due_at, depth.waiting
  FROM lanes
  CROSS JOIN LATERAL (
    SELECT due_at FROM job_live WHERE lane_id = lanes.id AND state = 'available' AND NOT is_parked
    ORDER BY rank, job_id LIMIT 1
  ) AS first
  CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM (
      SELECT FROM job_live WHERE lane_id = lanes.id AND state = 'available' AND NOT is_parked
      ORDER BY rank, job_id LIMIT lanes.cap + 1
    ) AS first_ones
  ) AS depth
)
SELECT found.queue, sum(least(found.waiting, found.cap))::integer AS waiting,
       bool_or(found.waiting > found.cap) AS is_more, min(found.due_at) AS oldest_due_at,
       greatest(0, extract(epoch FROM now - min(found.due_at)))::float8 AS oldest_due_seconds,
       coalesce(bool_or(queue.paused_at IS NOT NULL), false) AS is_paused
FROM found CROSS JOIN moment LEFT JOIN queue ON queue.tenant_id = %(tenant)s AND queue.name = found.queue
GROUP BY found.queue, now ORDER BY min(found.due_at), found.queue LIMIT %(limit)s
