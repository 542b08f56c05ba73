-- dispatch, third: of each lane as many jobs as its turn gives it, the first by rank. Looked at are `looks` of each, the
-- taken never more than `most`; what may not be taken for its own sake is parked, and leaves the sight of later claims:
-- a job whose concurrency key is busy until free_slots.sql, one whose endpoint wants a pause until let_go_throttled.sql.
-- The taken are told with their epochs, and of each lane in which there was a job how many were seen and parked.
-- Indexes: job_ready gives the top of each lane, job_slots counts: claim_jobs.plan.txt.
-- Locks: the jobs looked at. What is locked is skipped, so a claim waits for nobody.
WITH throttled AS MATERIALIZED (
  -- Endpoints that said "not now", nearly always none. One of a type that was written again since binds nobody.
  SELECT endpoint.tenant_id, endpoint.type
  FROM endpoint_throttle AS endpoint
  WHERE endpoint.tenant_id = ANY (%(tenants)s::uuid[]) AND endpoint.until > statement_timestamp()
    AND endpoint.type_version = (
      SELECT job_type.version FROM job_type
      WHERE job_type.tenant_id = endpoint.tenant_id AND job_type.name = endpoint.type)
), top AS MATERIALIZED (
  SELECT turn.lane_id, turn.most, turn.key_concurrency, candidate.*
  FROM unnest(%(lanes)s::bigint[], %(looks)s::bigint[], %(most)s::bigint[], %(key_concurrency)s::bigint[])
    AS turn (lane_id, looks, most, key_concurrency)
  CROSS JOIN LATERAL (
    SELECT ctid AS spot, tenant_id, job_id, rank, concurrency_hash,
           (tenant_id, type) IN (SELECT tenant_id, type FROM throttled) AS is_throttled
    FROM job_live
    WHERE job_live.lane_id = turn.lane_id AND job_live.state = 'available' AND NOT job_live.is_parked
    ORDER BY rank, job_id LIMIT turn.looks
    FOR UPDATE SKIP LOCKED
  ) AS candidate
), key AS MATERIALIZED (
  -- Read only where a job of `top` has a concurrency key.
  SELECT held.tenant_id, lane.queue, held.concurrency_hash, count(*) AS slots
  FROM job_live AS held JOIN lane ON lane.id = held.lane_id
  WHERE held.tenant_id = ANY (%(tenants)s::uuid[]) AND held.state IN ('dispatched', 'executing')
    AND held.concurrency_hash IS NOT NULL
  GROUP BY held.tenant_id, lane.queue, held.concurrency_hash
), keyed AS MATERIALIZED (
  -- The first of each key get the slots that it has left.
  SELECT of_key.*, key_slots + key_place <= key_concurrency AS has_key_slot
  FROM (
    SELECT top.job_id, top.lane_id, top.concurrency_hash, top.key_concurrency,
           row_number() OVER (PARTITION BY top.lane_id, top.concurrency_hash ORDER BY top.rank, top.job_id) AS key_place,
           coalesce((
             SELECT key.slots FROM key
             WHERE key.tenant_id = top.tenant_id AND key.concurrency_hash = top.concurrency_hash
               AND key.queue = (SELECT lane.queue FROM lane WHERE lane.id = top.lane_id)), 0) AS key_slots
    FROM top WHERE top.concurrency_hash IS NOT NULL AND NOT top.is_throttled
  ) AS of_key
), taken AS MATERIALIZED (
  SELECT spot FROM (
    SELECT spot, most, row_number() OVER (PARTITION BY lane_id ORDER BY rank, job_id) AS place
    FROM top WHERE NOT is_throttled AND job_id NOT IN (SELECT job_id FROM keyed WHERE NOT has_key_slot)
  ) AS placed
  WHERE place <= most
), dispatched AS (
  -- By their places, all at once: each row is locked, so it is there still, unless it was changed after this statement
  -- began. Then it is not found, and nothing is counted that was not taken.
  UPDATE job_live l
  SET state = 'dispatched', epoch = l.epoch + 1, dispatched_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
  WHERE l.ctid = ANY (ARRAY(SELECT spot FROM taken)) AND l.state = 'available'
  RETURNING l.tenant_id, l.job_id, l.epoch, l.type, l.crash_count, l.lane_id, l.concurrency_hash
), parked AS (
  -- An array, so that the planner, which knows nothing of how many there are, takes them one by one from the primary key.
  UPDATE job_live SET is_parked = true, is_throttled = job_id IN (SELECT top.job_id FROM top WHERE top.is_throttled)
  WHERE job_id = ANY (ARRAY(
    -- Only where the key's slots are all taken, by jobs under way or by this claim: then its next end lets one go on.
    SELECT keyed.job_id FROM keyed
    WHERE NOT keyed.has_key_slot AND keyed.key_concurrency <= keyed.key_slots + (
      SELECT count(*) FROM dispatched
      WHERE dispatched.lane_id = keyed.lane_id AND dispatched.concurrency_hash = keyed.concurrency_hash)
    UNION ALL
    SELECT top.job_id FROM top WHERE top.is_throttled))
  RETURNING job_live.lane_id
)
SELECT lane_id, tenant_id, job_id, epoch, type, crash_count, NULL::bigint AS seen, NULL::bigint AS parked FROM dispatched
UNION ALL
SELECT top.lane_id, NULL, NULL, NULL, NULL, NULL, count(*),
       (SELECT count(*) FROM parked WHERE parked.lane_id = top.lane_id)
FROM top GROUP BY top.lane_id
