-- Jobs of a tenant by state, each counted up to one more than the limit. Indexes: those of a lane (job_ready, job_parked,
-- job_put_off), lane after lane until the limit is reached; job_slots; job_ended. In their
-- order, which keeps the planner from looking through the tables.
WITH lanes AS MATERIALIZED (
  SELECT id FROM lane WHERE tenant_id = %(tenant)s
)
SELECT 'available' AS state, count(*)::integer AS jobs FROM (
  SELECT FROM lanes CROSS JOIN LATERAL (
    (SELECT FROM job_live WHERE lane_id = lanes.id AND state = 'available' AND NOT is_parked
     ORDER BY rank, job_id LIMIT %(limit)s + 1)
    UNION ALL
    (SELECT FROM job_live WHERE lane_id = lanes.id AND is_parked AND NOT is_throttled LIMIT %(limit)s + 1)
    UNION ALL
    (SELECT FROM job_live WHERE lane_id = lanes.id AND is_parked AND is_throttled LIMIT %(limit)s + 1)
  ) AS due LIMIT %(limit)s + 1) AS found
UNION ALL
SELECT put_off.state, (
  SELECT count(*) FROM (
    SELECT FROM lanes CROSS JOIN LATERAL (
      SELECT FROM job_live WHERE lane_id = lanes.id AND state IN ('scheduled', 'retryable', 'suspended')
        AND state = put_off.state ORDER BY due_at LIMIT %(limit)s + 1
    ) AS later LIMIT %(limit)s + 1) AS found)::integer
FROM (VALUES ('scheduled'), ('retryable'), ('suspended')) AS put_off (state)
UNION ALL
SELECT held.state, (
  SELECT count(*) FROM (
    SELECT FROM job_live WHERE tenant_id = %(tenant)s AND state IN ('dispatched', 'executing') AND state = held.state
    LIMIT %(limit)s + 1) AS found)::integer
FROM (VALUES ('dispatched'), ('executing')) AS held (state)
UNION ALL
SELECT ended.state, (
  SELECT count(*) FROM (
    SELECT FROM job WHERE tenant_id = %(tenant)s AND final_state IS NOT NULL AND final_state = ended.state
    ORDER BY id DESC LIMIT %(limit)s + 1) AS found)::integer
FROM (VALUES ('completed'), ('discarded'), ('cancelled')) AS ended (state)
