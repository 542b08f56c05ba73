-- A lane that turns active starts at the virtual time of its share, and a share at that of its pool: who was idle has
-- saved up no turns. The share is locked whenever a lane of it wakes, asleep or not: so it is not put to sleep before the
-- lane is seen. Shares first and then lanes, each in order, so that two that wake the same cannot block each other.
WITH asleep AS MATERIALIZED (
  SELECT id, tenant_id, pool FROM lane WHERE id = ANY (%(lanes)s) AND NOT is_active
), shares AS MATERIALIZED (
  SELECT share.tenant_id, share.pool FROM share
  WHERE (share.tenant_id, share.pool) IN (SELECT tenant_id, pool FROM asleep)
  ORDER BY share.tenant_id, share.pool FOR NO KEY UPDATE
), woken_shares AS (
  UPDATE share
  SET is_active = true, vtime = CASE WHEN share.is_active THEN share.vtime ELSE greatest(share.vtime, pool.vtime) END
  FROM shares, pool
  WHERE share.tenant_id = shares.tenant_id AND share.pool = shares.pool AND pool.name = share.pool
), lanes AS MATERIALIZED (
  -- Not before the shares.
  SELECT id FROM lane WHERE id IN (SELECT id FROM asleep) AND (SELECT count(*) FROM shares) >= 0
  ORDER BY id FOR NO KEY UPDATE
)
UPDATE lane SET is_active = true, vtime = greatest(lane.vtime, share.lane_vtime)
FROM lanes, share
WHERE lane.id = lanes.id AND share.tenant_id = lane.tenant_id AND share.pool = lane.pool
