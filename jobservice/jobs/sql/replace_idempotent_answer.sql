-- Index: the primary key. The answer that the same request kept when it began gives way to its last one.
UPDATE idempotency_key SET status = %(status)s, answer_sealed = %(answer)s
WHERE tenant_id = %(tenant)s AND hash = %(hash)s AND fingerprint = %(fingerprint)s
RETURNING status
