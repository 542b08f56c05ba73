-- Shares that were held back, and need not be: the tenant is active again, or has a slot. Counted, not believed.
-- Indexes: share_blocked; job_slots, as far as the limit. What is locked is looked at the next time.
WITH free AS MATERIALIZED (
  SELECT share.tenant_id, share.pool
  FROM share JOIN tenant ON tenant.id = share.tenant_id AND tenant.status = 'active'
  CROSS JOIN LATERAL (
    SELECT CASE WHEN tenant.quotas ? 'running' THEN (tenant.quotas ->> 'running')::bigint
                ELSE %(running)s::bigint END AS slots
  ) AS most
  WHERE share.blocked_by IS NOT NULL
    AND (most.slots IS NULL OR most.slots > (
      SELECT count(*) FROM (
        SELECT FROM job_live
        WHERE job_live.tenant_id = share.tenant_id AND job_live.state IN ('dispatched', 'executing') LIMIT most.slots
      ) AS taken))
  ORDER BY share.tenant_id, share.pool
  FOR NO KEY UPDATE OF share SKIP LOCKED
)
UPDATE share SET blocked_by = NULL, vtime = greatest(share.vtime, pool.vtime)
FROM free, pool
WHERE share.tenant_id = free.tenant_id AND share.pool = free.pool AND pool.name = share.pool
RETURNING share.tenant_id
