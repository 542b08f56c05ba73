-- Counts by time that are older than their step is kept. Index: statistic_age.
WITH old AS MATERIALIZED (
  SELECT tenant_id, step_seconds, at, queue, type FROM statistic
  WHERE step_seconds = %(step)s AND at < clock_timestamp() - make_interval(secs => %(keep_seconds)s)
  ORDER BY step_seconds, at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM statistic s USING old
WHERE s.tenant_id = old.tenant_id AND s.step_seconds = old.step_seconds AND s.at = old.at AND s.queue = old.queue
  AND s.type = old.type
RETURNING s.at
