-- As prune_statistics.sql. Index: error_count_age.
WITH old AS MATERIALIZED (
  SELECT tenant_id, group_id, step_seconds, at FROM error_count
  WHERE step_seconds = %(step)s AND at < clock_timestamp() - make_interval(secs => %(keep_seconds)s)
  ORDER BY step_seconds, at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM error_count c USING old
WHERE c.tenant_id = old.tenant_id AND c.group_id = old.group_id AND c.step_seconds = old.step_seconds AND c.at = old.at
RETURNING c.at
