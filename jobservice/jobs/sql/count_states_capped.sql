-- Jobs of a tenant by state, each counted up to the limit and no further: so the time does not grow with their number.
-- Indexes: job_ready, job_parked and job_put_off lane by lane; job_slots; job_ended.
WITH lanes AS MATERIALIZED (
  SELECT id FROM lane WHERE tenant_id = %(tenant)s
)
SELECT 'available' AS state, (
  SELECT count(*) FROM (
    SELECT 1 FROM lanes CROSS JOIN LATERAL (
      (SELECT 1 FROM job_live WHERE lane_id = lanes.id AND state = 'available' AND NOT is_parked LIMIT %(limit)s)
      UNION ALL
      (SELECT 1 FROM job_live WHERE lane_id = lanes.id AND is_parked LIMIT %(limit)s)
    ) AS ready LIMIT %(limit)s
  ) AS counted
) AS jobs
UNION ALL
SELECT put_off.state, (
  SELECT count(*) FROM (
    SELECT 1 FROM lanes CROSS JOIN LATERAL (
      SELECT 1 FROM job_live
      WHERE lane_id = lanes.id AND state IN ('scheduled', 'retryable', 'suspended') AND state = put_off.state
      LIMIT %(limit)s
    ) AS later LIMIT %(limit)s
  ) AS counted
)
FROM (VALUES ('scheduled'), ('retryable'), ('suspended')) AS put_off (state)
UNION ALL
SELECT held.state, (
  SELECT count(*) FROM (
    SELECT 1 FROM job_live
    WHERE tenant_id = %(tenant)s AND state IN ('dispatched', 'executing') AND state = held.state
    LIMIT %(limit)s
  ) AS counted
)
FROM (VALUES ('dispatched'), ('executing')) AS held (state)
UNION ALL
SELECT ended.state, (
  SELECT count(*) FROM (
    SELECT 1 FROM job WHERE tenant_id = %(tenant)s AND final_state IS NOT NULL AND final_state = ended.state
    LIMIT %(limit)s
  ) AS counted
)
FROM (VALUES ('completed'), ('discarded'), ('cancelled')) AS ended (state)
