-- What may go on because these jobs hold no slot any more: their queues' lanes and their tenants' shares if they were at
-- their limit, and as many waiting jobs of the same concurrency keys. One that is freed too many is parked again by the
-- next claim. A claim that finds a limit at this very moment is not seen yet: reopen_*.sql come after it.
-- `available` are lanes that this transaction made a job available in: they wake, with those of the freed keys.
-- Indexes: share_blocked, lane_blocked, job_parked. Locks: lanes for KEY SHARE, as an accept; then shares, then lanes, each
-- in order, as activate_lanes.sql; jobs skip what is locked.
WITH freed AS MATERIALIZED (
  SELECT lane.tenant_id, lane.queue, f.concurrency_hash, count(*) AS slots
  FROM unnest(%(lanes)s::bigint[], %(keys)s::bytea[]) AS f (lane_id, concurrency_hash)
  JOIN lane ON lane.id = f.lane_id
  GROUP BY 1, 2, 3
), shared AS MATERIALIZED (
  SELECT lane.id, lane.tenant_id, lane.pool, lane.is_active FROM lane
  WHERE lane.id = ANY (%(available)s::bigint[] || ARRAY(
    SELECT other.id FROM freed JOIN lane AS other ON other.tenant_id = freed.tenant_id AND other.queue = freed.queue
    WHERE freed.concurrency_hash IS NOT NULL))
  ORDER BY lane.id FOR KEY SHARE
), shares AS MATERIALIZED (
  SELECT share.tenant_id, share.pool FROM share
  JOIN (
    SELECT tenant_id, pool FROM shared WHERE NOT is_active
    UNION
    SELECT share.tenant_id, share.pool FROM share
    WHERE share.blocked_by = 'tenant-concurrency' AND share.tenant_id IN (SELECT tenant_id FROM freed)
  ) AS wanted ON wanted.tenant_id = share.tenant_id AND wanted.pool = share.pool
  ORDER BY share.tenant_id, share.pool FOR NO KEY UPDATE OF share
), opened_shares AS (
  -- Who was idle or held back has saved up no turns.
  UPDATE share
  SET is_active = true, vtime = CASE WHEN share.is_active AND share.blocked_by IS NULL THEN share.vtime
                                     ELSE greatest(share.vtime, pool.vtime) END,
      blocked_by = CASE WHEN share.blocked_by = 'tenant-concurrency' AND share.tenant_id IN (SELECT tenant_id FROM freed)
                        THEN NULL ELSE share.blocked_by END
  FROM shares, pool
  WHERE share.tenant_id = shares.tenant_id AND share.pool = shares.pool AND pool.name = share.pool
), lanes AS MATERIALIZED (
  SELECT lane.id FROM lane
  WHERE lane.id = ANY (ARRAY(
      SELECT id FROM shared WHERE NOT is_active
      UNION
      SELECT lane.id FROM lane
      WHERE lane.blocked_by = 'queue-concurrency' AND (lane.tenant_id, lane.queue) IN (SELECT tenant_id, queue FROM freed)))
    -- Not before the shares.
    AND (SELECT count(*) FROM shares) >= 0
  ORDER BY lane.id FOR NO KEY UPDATE
), opened_lanes AS (
  UPDATE lane
  SET is_active = true, vtime = greatest(lane.vtime, share.lane_vtime),
      blocked_by = CASE WHEN lane.blocked_by = 'queue-concurrency' THEN NULL ELSE lane.blocked_by END
  FROM lanes, share
  WHERE lane.id = lanes.id AND share.tenant_id = lane.tenant_id AND share.pool = lane.pool
), following AS MATERIALIZED (
  SELECT next.job_id
  FROM freed CROSS JOIN LATERAL (
    SELECT job_live.job_id FROM job_live JOIN lane ON lane.id = job_live.lane_id
    WHERE lane.tenant_id = freed.tenant_id AND lane.queue = freed.queue AND job_live.is_parked
      AND NOT job_live.is_throttled AND job_live.concurrency_hash = freed.concurrency_hash
    ORDER BY job_live.rank, job_live.job_id LIMIT freed.slots
    FOR UPDATE OF job_live SKIP LOCKED
  ) AS next
  WHERE freed.concurrency_hash IS NOT NULL
)
UPDATE job_live SET is_parked = false
FROM following WHERE job_live.job_id = following.job_id
RETURNING job_live.job_id
