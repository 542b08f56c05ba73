-- Shares without a lane that is awake. Index: share_turn, lane_turn and lane_blocked. Never waits for a lock.
SELECT share.tenant_id, share.pool FROM share
WHERE share.is_active
  AND NOT EXISTS (SELECT FROM lane WHERE lane.tenant_id = share.tenant_id AND lane.pool = share.pool AND lane.is_active)
ORDER BY share.tenant_id, share.pool LIMIT 500
FOR UPDATE SKIP LOCKED
