-- Lanes whose queue has a token again by now. Index: lane_rated.
WITH due AS MATERIALIZED (
  SELECT id FROM lane WHERE blocked_until <= clock_timestamp() ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE lane SET blocked_by = NULL, blocked_until = NULL, vtime = greatest(lane.vtime, share.lane_vtime)
FROM due, share
WHERE lane.id = due.id AND share.tenant_id = lane.tenant_id AND share.pool = lane.pool
RETURNING lane.id
