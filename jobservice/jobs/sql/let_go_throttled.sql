-- Jobs parked for an endpoint whose pause is over, or whose type was written again: the first by rank, twice as many each
-- time, so that a receiver that comes back is not met by all at once.
-- It goes by the parked jobs, one probe of the index for each type, and not by the throttles: a claim that was still under
-- way when the last throttle went may have parked some since. Those few go at once.
-- Indexes: job_throttled; the primary key of endpoint_throttle, the unique constraint of job_type.
-- Locks: the throttle, so that several dispatchers keep one pace; then the jobs. Both skip what is locked.
WITH RECURSIVE moment AS MATERIALIZED (
  SELECT clock_timestamp() AS now
), holding AS (
  (SELECT tenant_id, type FROM job_live WHERE is_throttled ORDER BY tenant_id, type LIMIT 1)
  UNION ALL
  SELECT following.tenant_id, following.type
  FROM holding CROSS JOIN LATERAL (
    SELECT l.tenant_id, l.type FROM job_live l
    WHERE l.is_throttled AND (l.tenant_id, l.type) > (holding.tenant_id, holding.type)
    ORDER BY l.tenant_id, l.type LIMIT 1
  ) AS following
), due AS MATERIALIZED (
  SELECT t.tenant_id, t.type, t.batch
  FROM holding JOIN endpoint_throttle AS t USING (tenant_id, type) CROSS JOIN moment
  WHERE t.let_go_at <= moment.now
    -- The first time only; from then on its `until` is over and the pace is kept.
    OR (t.until > moment.now AND NOT EXISTS (
      SELECT FROM job_type
      WHERE job_type.tenant_id = t.tenant_id AND job_type.name = t.type AND job_type.version = t.type_version))
  ORDER BY t.let_go_at, t.tenant_id, t.type LIMIT %(types)s
  FOR NO KEY UPDATE OF t SKIP LOCKED
), left_over AS (
  SELECT tenant_id, type, %(most_jobs)s::integer AS batch FROM holding
  WHERE NOT EXISTS (
    SELECT FROM endpoint_throttle AS t WHERE t.tenant_id = holding.tenant_id AND t.type = holding.type)
  LIMIT %(types)s
), stepped AS (
  UPDATE endpoint_throttle AS t
  SET batch = least(2 * due.batch, %(most_jobs)s), until = least(t.until, moment.now),
      let_go_at = moment.now + make_interval(secs => %(step_seconds)s)
  FROM due, moment
  WHERE t.tenant_id = due.tenant_id AND t.type = due.type
), next AS MATERIALIZED (
  SELECT first.job_id
  FROM (SELECT * FROM due UNION ALL SELECT * FROM left_over) AS over CROSS JOIN LATERAL (
    SELECT l.job_id FROM job_live l
    WHERE l.is_throttled AND l.tenant_id = over.tenant_id AND l.type = over.type
    ORDER BY l.rank, l.job_id LIMIT over.batch
    FOR UPDATE SKIP LOCKED
  ) AS first
), opened AS (
  -- An array, so that they are taken one by one from the primary key, however many others wait.
  UPDATE job_live SET is_parked = false, is_throttled = false
  WHERE job_id = ANY (ARRAY(SELECT job_id FROM next)) AND is_throttled
  RETURNING job_live.lane_id
)
SELECT (SELECT count(*) FROM opened)::integer AS jobs, (SELECT array_agg(DISTINCT lane_id) FROM opened) AS lanes
