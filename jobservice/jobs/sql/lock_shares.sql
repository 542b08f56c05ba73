-- dispatch, first: the tenants whose turn it is, each with its lanes that have work. Start-time fair queueing among the
-- shares of the pool. All in one row; none when nobody's turn it is. `is_full` says that others may wait behind them.
-- Indexes: share_turn walks them in order of virtual time; lane_turn and job_ready say which lanes have work, for one
-- without must not use up a place; each LIMIT 1 keeps that a probe, and the next statement need not look again.
-- Locks: the share, and the tenant's gate, which claims of other pools take too. What is locked is another dispatcher's:
-- nobody waits. The slots in use are counted by the next statement, whose snapshot is younger than these locks.
-- The LIMIT is a query, which no plan looks into: of a bare number a plan for one claim costs less by the server's estimate
-- than one for all, and it would make one each time, for twice what it takes to carry it out. To the statements that follow
-- in the transaction it says so: their plans are kept, and are probes by key, however short a table was when they were made.
-- The next one is sent with this one, before anybody knows what this one tells: it reads the tenants and their lanes from
-- the transaction's settings.
WITH looked_at AS MATERIALIZED (
  -- All that wait, as long as they are not too many; of more fewer, and each is given a longer turn.
  SELECT CASE WHEN count(*) > %(shares)s::bigint THEN %(shares_of_many)s::bigint ELSE %(shares)s::bigint END AS shares
  FROM (
    SELECT FROM share WHERE pool = %(pool)s AND is_active AND blocked_by IS NULL LIMIT (SELECT %(shares)s::bigint + 1)
  ) AS awake
)
SELECT set_config('app.turn_tenants', array_agg(locked.tenant_id)::text, true) AS tenants,
       set_config('app.turn_lanes', '{' || string_agg(locked.lanes, ',') || '}', true) AS lanes,
       count(*) >= (SELECT shares FROM looked_at) AS is_full,
       set_config('plan_cache_mode', 'force_generic_plan', true) AS plans, set_config('enable_seqscan', 'off', true) AS scans
FROM (
  SELECT share.tenant_id, has_work.lanes
  FROM share
  JOIN claim_gate AS gate ON gate.tenant_id = share.tenant_id
  CROSS JOIN LATERAL (
    SELECT string_agg(lane.id::text, ',') AS lanes
    FROM (
      SELECT lane.id FROM lane CROSS JOIN LATERAL (
        SELECT FROM job_live
        WHERE job_live.lane_id = lane.id AND job_live.state = 'available' AND NOT job_live.is_parked LIMIT 1
      ) AS ready
      WHERE lane.tenant_id = share.tenant_id AND lane.pool = share.pool AND lane.is_active AND lane.blocked_by IS NULL
      ORDER BY lane.vtime, lane.id
      LIMIT (SELECT %(lanes)s::bigint)
    ) AS lane
    HAVING count(*) > 0
  ) AS has_work
  WHERE share.pool = %(pool)s AND share.is_active AND share.blocked_by IS NULL
  ORDER BY share.vtime, share.tenant_id
  LIMIT (SELECT shares FROM looked_at)
  FOR NO KEY UPDATE OF share, gate SKIP LOCKED
) AS locked
HAVING count(*) > 0
