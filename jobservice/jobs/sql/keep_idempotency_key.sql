-- Index: the primary key. Only a row past its day is replaced.
INSERT INTO idempotency_key (tenant_id, hash, fingerprint, status, answer_sealed)
VALUES (%(tenant)s, %(hash)s, %(fingerprint)s, %(status)s, %(answer)s)
ON CONFLICT (tenant_id, hash) DO UPDATE
SET fingerprint = excluded.fingerprint, status = excluded.status, answer_sealed = excluded.answer_sealed,
    created_at = clock_timestamp()
WHERE idempotency_key.created_at <= clock_timestamp() - make_interval(secs => %(keep_seconds)s)
RETURNING status
