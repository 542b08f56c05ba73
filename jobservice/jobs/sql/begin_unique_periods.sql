-- accept: until when these keys are held at least, counted from the acceptance of their jobs. Index: primary keys; LIMIT 1
-- keeps each look at a job a probe of its partition. The claims are this transaction's own: nothing is waited for.
UPDATE unique_claim u SET expires_at = accepted.created_at + make_interval(secs => p.period_seconds)
FROM unnest(%(hashes)s::bytea[], %(jobs)s::uuid[], %(periods)s::integer[]) AS p (hash, job_id, period_seconds)
CROSS JOIN LATERAL (SELECT created_at FROM job WHERE id = p.job_id AND tenant_id = %(tenant)s LIMIT 1) AS accepted
WHERE u.tenant_id = %(tenant)s AND u.hash = p.hash AND u.job_id = p.job_id
