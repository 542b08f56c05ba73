-- dispatch, last: the turns move on. Of each lane that is told, its tag, whether it is out of work, what holds it back and
-- for how long, and how long its bucket takes to be full, both from `read_at` on; of each share likewise. Told are the lanes
-- that left the sight of the claims.
-- Indexes: primary keys.
-- Locks: lanes, and the pool for its clock; what is locked stays as it is, for the next claim counts anew, so that a claim
-- waits for nobody. The shares are locked since before, and whoever changes a bucket holds the gate.
WITH free AS MATERIALIZED (
  SELECT lane.id FROM lane
  WHERE lane.id = ANY (%(lanes)s::bigint[]) AND lane.is_active
  FOR NO KEY UPDATE SKIP LOCKED
), lanes AS (
  UPDATE lane
  SET vtime = moved.vtime, is_drained = moved.is_drained, blocked_by = moved.blocked_by,
      blocked_until = %(read_at)s::timestamptz + make_interval(secs => moved.blocked_seconds),
      served_at = CASE WHEN moved.is_served THEN clock_timestamp() ELSE lane.served_at END
  FROM unnest(
    %(lanes)s::bigint[], %(vtimes)s::float8[], %(are_drained)s::boolean[], %(are_served)s::boolean[],
    %(blocks)s::text[], %(blocked_seconds)s::float8[]
  ) AS moved (id, vtime, is_drained, is_served, blocked_by, blocked_seconds)
  WHERE lane.id = moved.id AND lane.id IN (SELECT id FROM free)
  RETURNING lane.id, lane.blocked_by
), rates AS (
  INSERT INTO queue_rate (tenant_id, queue, full_at)
  SELECT tenant_id, queue, %(read_at)s::timestamptz + make_interval(secs => lacking_seconds)
  FROM unnest(%(rate_tenants)s::uuid[], %(rate_queues)s::text[], %(lacking_seconds)s::float8[])
    AS moved (tenant_id, queue, lacking_seconds)
  ON CONFLICT (tenant_id, queue) DO UPDATE SET full_at = excluded.full_at
), shares AS (
  UPDATE share
  SET vtime = moved.vtime, lane_vtime = moved.lane_vtime, is_drained = moved.is_drained, blocked_by = moved.blocked_by
  FROM unnest(
    %(share_tenants)s::uuid[], %(share_vtimes)s::float8[], %(lane_vtimes)s::float8[], %(are_shares_drained)s::boolean[],
    %(share_blocks)s::text[]
  ) AS moved (tenant_id, vtime, lane_vtime, is_drained, blocked_by)
  WHERE share.tenant_id = moved.tenant_id AND share.pool = %(pool)s
), clock AS (
  UPDATE pool SET vtime = %(clock)s::float8
  WHERE name = (
    SELECT name FROM pool WHERE name = %(pool)s AND vtime < %(clock)s::float8 FOR NO KEY UPDATE SKIP LOCKED)
)
SELECT id FROM lanes WHERE blocked_by IS NOT NULL
