-- dispatch: the fair claim. Start-time fair queueing over lanes, rank inside a lane.
-- Indexes: lane_turn walks the active lanes in order of virtual time; job_ready gives the top of each.
-- Locks: lanes FOR NO KEY UPDATE (other dispatchers take other lanes; accepts, who share KEY SHARE, are not held up),
-- then their jobs. Both skip what is locked, so no dispatcher waits for another.
WITH turn AS MATERIALIZED (
  SELECT lane.id, lane.vtime, lane.weight
  FROM lane
  JOIN tenant ON tenant.id = lane.tenant_id AND tenant.status = 'active'
  -- A lane without work must not use up one of the places below; LIMIT keeps this a probe of the index.
  CROSS JOIN LATERAL (
    SELECT FROM job_live WHERE job_live.lane_id = lane.id AND job_live.state = 'available' LIMIT 1
  ) AS has_work
  WHERE lane.pool = %(pool)s AND lane.is_active AND lane.blocked_until IS NULL
  ORDER BY lane.vtime, lane.id
  LIMIT %(lanes)s
  FOR NO KEY UPDATE OF lane SKIP LOCKED
), top AS MATERIALIZED (
  SELECT turn.id AS lane_id, turn.weight, turn.vtime, candidate.job_id, candidate.rank
  FROM turn CROSS JOIN LATERAL (
    SELECT job_id, rank FROM job_live
    WHERE job_live.lane_id = turn.id AND job_live.state = 'available'
    ORDER BY rank, job_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
  ) AS candidate
), tagged AS (
  SELECT lane_id, weight, job_id,
         vtime + (row_number() OVER (PARTITION BY lane_id ORDER BY rank, job_id) - 1) / weight::float8 AS start_tag
  FROM top
), chosen AS MATERIALIZED (
  SELECT * FROM tagged ORDER BY start_tag, lane_id LIMIT %(limit)s
), moved AS (
  UPDATE lane SET vtime = next.vtime, served_at = clock_timestamp()
  FROM (SELECT lane_id, max(start_tag + 1 / weight::float8) AS vtime FROM chosen GROUP BY lane_id) AS next
  WHERE lane.id = next.lane_id
), clock AS (
  -- The pool's virtual time is the start tag of the last job served; it never goes back.
  UPDATE pool SET vtime = greatest(pool.vtime, latest.tag)
  FROM (SELECT max(start_tag) AS tag FROM chosen) AS latest
  WHERE pool.name = %(pool)s AND latest.tag > pool.vtime
)
UPDATE job_live l
SET state = 'dispatched', epoch = l.epoch + 1, dispatched_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM chosen
WHERE l.job_id = chosen.job_id AND l.state = 'available'
RETURNING l.tenant_id, l.job_id, l.epoch, l.type, l.crash_count
