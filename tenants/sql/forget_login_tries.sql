-- Remove counts that bind nobody any more, so many at most; those that somebody counts on just now stay. Index:
-- login_throttle_over.
DELETE FROM login_throttle
WHERE key IN (
  SELECT key FROM login_throttle WHERE used_until < clock_timestamp() - interval '1 minute'
  ORDER BY used_until LIMIT %(most)s FOR UPDATE SKIP LOCKED)
