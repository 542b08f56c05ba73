-- The second look, under the lock: a lane that woke meanwhile keeps its share awake.
UPDATE share SET is_active = false, blocked_by = NULL
FROM unnest(%(tenants)s::uuid[], %(pools)s::text[]) AS idle (tenant_id, pool)
WHERE share.tenant_id = idle.tenant_id AND share.pool = idle.pool
  AND NOT EXISTS (SELECT FROM lane WHERE lane.tenant_id = share.tenant_id AND lane.pool = share.pool AND lane.is_active)
