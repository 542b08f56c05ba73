-- Note that a key was used, at most once a minute; whoever finds the row locked leaves it to the other.
-- Index: api_key_pkey.
UPDATE api_key SET last_used_at = clock_timestamp()
WHERE id IN (
  SELECT id FROM api_key
  WHERE tenant_id = %(tenant)s AND id = %(key)s
    AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '60 seconds')
  FOR NO KEY UPDATE SKIP LOCKED
);
