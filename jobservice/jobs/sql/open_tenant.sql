-- A tenant's limits or its status were changed: its shares are looked at anew by the next claim. Index: share_blocked.
-- No claim is under way, so a share that is locked is being opened already; and whoever comes last waits for nobody.
WITH held AS MATERIALIZED (
  SELECT tenant_id, pool FROM share WHERE tenant_id = %(tenant)s AND blocked_by IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE share SET blocked_by = NULL, vtime = greatest(share.vtime, pool.vtime)
FROM held, pool
WHERE share.tenant_id = held.tenant_id AND share.pool = held.pool AND pool.name = share.pool
