-- Index: bulk_action_age.
WITH old AS MATERIALIZED (
  SELECT id FROM bulk_action
  WHERE status <> 'running' AND finished_at <= clock_timestamp() - make_interval(secs => %(keep_seconds)s)
  ORDER BY finished_at LIMIT %(limit)s
)
DELETE FROM bulk_action USING old WHERE bulk_action.id = old.id
RETURNING bulk_action.id
