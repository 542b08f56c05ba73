-- The dispatcher: what transactions added to the counts becomes rows of minutes, hours and days, of each queue and type,
-- each queue, each type and the tenant as a whole, and is gone, in one statement. Who holds the advisory lock folds
-- alone; rows that are not committed yet are not seen, and come with a later turn, into the minute they belong to. Rows
-- of an erased tenant go. Indexes: statistic_delta_pkey, statistic_pkey.
WITH taken AS MATERIALIZED (
  SELECT id FROM statistic_delta ORDER BY id LIMIT %(limit)s
), gone AS (
  DELETE FROM statistic_delta d USING taken WHERE d.id = taken.id RETURNING d.*
), delta AS MATERIALIZED (
  SELECT gone.* FROM gone JOIN tenant ON tenant.id = gone.tenant_id AND tenant.status <> 'erased'
), step AS (
  SELECT unnest(ARRAY[60, 3600, 86400]) AS step_seconds
), minutes AS (
  -- First what is alike, so that the rest is of few rows.
  SELECT tenant_id, minute, queue, type, sum(accepted) AS accepted, sum(completed) AS completed,
         sum(discarded) AS discarded, sum(cancelled) AS cancelled, sum(retried) AS retried
  FROM delta GROUP BY tenant_id, minute, queue, type
), durations AS (
  SELECT tenant_id, minute, queue, type, is_wait, bucket, count(*) AS held
  FROM delta CROSS JOIN LATERAL (
    SELECT true AS is_wait, unnest(waits) AS bucket UNION ALL SELECT false, unnest(runs)
  ) AS one
  GROUP BY tenant_id, minute, queue, type, is_wait, bucket
), counted AS (
  SELECT tenant_id, step_seconds, date_bin(make_interval(secs => step_seconds), minute, 'epoch') AS at,
         coalesce(queue, '') AS queue, coalesce(type, '') AS type, sum(accepted) AS accepted,
         sum(completed) AS completed, sum(discarded) AS discarded, sum(cancelled) AS cancelled, sum(retried) AS retried
  FROM minutes CROSS JOIN step
  GROUP BY tenant_id, step_seconds, date_bin(make_interval(secs => step_seconds), minute, 'epoch'), CUBE (queue, type)
), measured AS (
  SELECT tenant_id, step_seconds, date_bin(make_interval(secs => step_seconds), minute, 'epoch') AS at,
         coalesce(queue, '') AS queue, coalesce(type, '') AS type, is_wait, bucket, sum(held)::bigint AS held
  FROM durations CROSS JOIN step
  GROUP BY tenant_id, step_seconds, date_bin(make_interval(secs => step_seconds), minute, 'epoch'), CUBE (queue, type),
           is_wait, bucket
), histograms AS (
  SELECT tenant_id, step_seconds, at, queue, type,
         array_agg((bucket::bigint << 40) + held ORDER BY bucket) FILTER (WHERE is_wait) AS waits,
         array_agg((bucket::bigint << 40) + held ORDER BY bucket) FILTER (WHERE NOT is_wait) AS runs
  FROM measured GROUP BY tenant_id, step_seconds, at, queue, type
), kept AS (
  INSERT INTO statistic AS s (tenant_id, step_seconds, at, queue, type, accepted, completed, discarded, cancelled,
                              retried, waits, runs)
  SELECT tenant_id, step_seconds, at, queue, type, accepted, completed, discarded, cancelled, retried,
         coalesce(waits, '{}'), coalesce(runs, '{}')
  FROM counted LEFT JOIN histograms USING (tenant_id, step_seconds, at, queue, type)
  ORDER BY tenant_id, step_seconds, queue, type, at
  ON CONFLICT (tenant_id, step_seconds, queue, type, at) DO UPDATE
  SET accepted = s.accepted + excluded.accepted, completed = s.completed + excluded.completed,
      discarded = s.discarded + excluded.discarded, cancelled = s.cancelled + excluded.cancelled,
      retried = s.retried + excluded.retried,
      -- Written out, for a function with a query in it costs several times as much a call.
      waits = (SELECT coalesce(array_agg((bucket << 40) + held ORDER BY bucket), '{}') FROM (
        SELECT entry >> 40 AS bucket, sum(entry & 1099511627775)::bigint AS held
        FROM unnest(s.waits || excluded.waits) AS entry GROUP BY entry >> 40) AS summed),
      runs = (SELECT coalesce(array_agg((bucket << 40) + held ORDER BY bucket), '{}') FROM (
        SELECT entry >> 40 AS bucket, sum(entry & 1099511627775)::bigint AS held
        FROM unnest(s.runs || excluded.runs) AS entry GROUP BY entry >> 40) AS summed)
)
SELECT count(*) AS folded FROM taken
