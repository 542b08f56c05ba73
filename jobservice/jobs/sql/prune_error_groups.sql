-- Groups of errors that were not seen for long. Index: error_group_age. The dispatcher may not lock a row of it, so that
-- the condition is asked once more: a group that was seen meanwhile stays.
DELETE FROM error_group g
WHERE (g.tenant_id, g.id) IN (
    SELECT tenant_id, id FROM error_group
    WHERE last_seen_at < clock_timestamp() - make_interval(secs => %(keep_seconds)s) ORDER BY last_seen_at LIMIT %(limit)s)
  AND g.last_seen_at < clock_timestamp() - make_interval(secs => %(keep_seconds)s)
RETURNING g.id
