-- resume: jobs held while their type was off, once it is on again, or is no more. First the types that hold any, one probe
-- of the index for each, so that the many jobs of a type that stays off cost nothing. Index: job_suspended.
-- What somebody else has locked is left for the next time.
WITH RECURSIVE holding AS (
  (SELECT tenant_id, type FROM job_live WHERE state = 'suspended' ORDER BY tenant_id, type LIMIT 1)
  UNION ALL
  SELECT following.tenant_id, following.type
  FROM holding CROSS JOIN LATERAL (
    SELECT l.tenant_id, l.type FROM job_live l
    WHERE l.state = 'suspended' AND (l.tenant_id, l.type) > (holding.tenant_id, holding.type)
    ORDER BY l.tenant_id, l.type LIMIT 1
  ) AS following
), on_again AS MATERIALIZED (
  SELECT tenant_id, type FROM holding
  WHERE NOT EXISTS (
    SELECT FROM job_type t
    WHERE t.tenant_id = holding.tenant_id AND t.name = holding.type AND t.disabled_at IS NOT NULL)
), held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l JOIN on_again USING (tenant_id, type)
  WHERE l.state = 'suspended' AND l.suspended_reason = 'type-disabled'
  ORDER BY l.job_id LIMIT %(limit)s
  FOR UPDATE OF l SKIP LOCKED
)
UPDATE job_live l
SET state = 'available', suspended_reason = NULL, available_at = clock_timestamp(),
    rank = l.due_at + l.priority * interval '60 seconds'
FROM held WHERE l.job_id = held.job_id
RETURNING l.lane_id
