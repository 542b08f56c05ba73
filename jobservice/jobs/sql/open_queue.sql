-- A queue's limits were changed: its lanes are looked at anew by the next claim. Index: lane_blocked.
-- No claim is under way, so a lane that is locked is being opened already; and whoever comes last waits for nobody.
WITH held AS MATERIALIZED (
  SELECT id FROM lane WHERE tenant_id = %(tenant)s AND queue = %(queue)s AND blocked_by IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE lane SET blocked_by = NULL, blocked_until = NULL, vtime = greatest(lane.vtime, share.lane_vtime)
FROM held, share
WHERE lane.id = held.id AND share.tenant_id = lane.tenant_id AND share.pool = lane.pool
