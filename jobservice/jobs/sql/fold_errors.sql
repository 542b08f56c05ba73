-- The dispatcher: failed runs that transactions added become counts of their groups, by minute and hour and in all, and
-- are gone. As fold_statistics.sql. A group that was resolved is open again when a run failed after that; an ignored one
-- stays ignored. A group that is not there yet, for its errors have no text, is made.
-- Indexes: error_delta_pkey, error_count_pkey, error_group_pkey.
WITH taken AS MATERIALIZED (
  SELECT id FROM error_delta ORDER BY id LIMIT %(limit)s
), gone AS (
  DELETE FROM error_delta d USING taken WHERE d.id = taken.id RETURNING d.*
), delta AS MATERIALIZED (
  SELECT gone.* FROM gone JOIN tenant ON tenant.id = gone.tenant_id AND tenant.status <> 'erased'
), counted AS (
  INSERT INTO error_count AS c (tenant_id, group_id, step_seconds, at, runs)
  SELECT tenant_id, group_id, step_seconds, date_bin(make_interval(secs => step_seconds), at, 'epoch') AS bin, sum(runs)
  FROM delta CROSS JOIN unnest(ARRAY[60, 3600]) AS step_seconds
  GROUP BY tenant_id, group_id, step_seconds, bin ORDER BY tenant_id, group_id, step_seconds, bin
  ON CONFLICT (tenant_id, group_id, step_seconds, at) DO UPDATE SET runs = c.runs + excluded.runs
), grouped AS (
  INSERT INTO error_group AS g (tenant_id, id, type, code, runs, first_seen_at, last_seen_at)
  SELECT tenant_id, group_id, min(type), min(code), sum(runs), min(at), max(at)
  FROM delta GROUP BY tenant_id, group_id ORDER BY tenant_id, group_id
  ON CONFLICT (tenant_id, id) DO UPDATE
  SET runs = g.runs + excluded.runs, first_seen_at = least(g.first_seen_at, excluded.first_seen_at),
      last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at),
      state = CASE WHEN g.state = 'resolved' AND excluded.last_seen_at > g.state_changed_at THEN 'open' ELSE g.state END,
      state_changed_at = CASE WHEN g.state = 'resolved' AND excluded.last_seen_at > g.state_changed_at
                              THEN clock_timestamp() ELSE g.state_changed_at END
)
SELECT count(*) AS folded FROM taken
