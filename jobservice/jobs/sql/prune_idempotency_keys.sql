-- Index: idempotency_key_age. Looked at once more under the row lock, for an accept may have just renewed it.
WITH old AS MATERIALIZED (
  SELECT tenant_id, hash FROM idempotency_key
  WHERE created_at <= clock_timestamp() - make_interval(secs => %(keep_seconds)s)
  ORDER BY created_at LIMIT %(limit)s
)
DELETE FROM idempotency_key USING old
WHERE idempotency_key.tenant_id = old.tenant_id AND idempotency_key.hash = old.hash
  AND idempotency_key.created_at <= clock_timestamp() - make_interval(secs => %(keep_seconds)s)
RETURNING idempotency_key.created_at
