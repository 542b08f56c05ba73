-- Index: the primary key. A key past its day is as good as gone, pruned or not.
SELECT fingerprint, status, answer_sealed FROM idempotency_key
WHERE tenant_id = %(tenant)s AND hash = %(hash)s
  AND created_at > clock_timestamp() - make_interval(secs => %(keep_seconds)s)
