-- Throttles that have been over for a while and that nobody waits for any more. Few rows: only endpoints that said "not now"
-- lately have one. Index: job_throttled, one probe each. What is locked is being written anew.
WITH over AS MATERIALIZED (
  SELECT t.tenant_id, t.type FROM endpoint_throttle AS t
  WHERE t.let_go_at < clock_timestamp() - make_interval(secs => %(after_seconds)s)
    AND NOT EXISTS (SELECT FROM job_live l WHERE l.is_throttled AND l.tenant_id = t.tenant_id AND l.type = t.type)
  LIMIT 1000
  FOR UPDATE OF t SKIP LOCKED
)
DELETE FROM endpoint_throttle AS t USING over
WHERE t.tenant_id = over.tenant_id AND t.type = over.type
RETURNING t.type
