-- Who holds these keys, as one snapshot sees it: no lock, so that nobody who ends or starts a job waits for a reader.
-- A claim past its period that no job holds is free, pruned or not. Index: primary keys; LIMIT 1 keeps each look at a job
-- a probe of its partition.
SELECT u.hash, u.job_id, u.held_while, j.queue,
       u.held_while IS NULL AND u.expires_at <= clock_timestamp() AS is_free
FROM unique_claim u
LEFT JOIN LATERAL (SELECT queue FROM job WHERE id = u.job_id AND tenant_id = u.tenant_id LIMIT 1) AS j ON true
WHERE u.tenant_id = %(tenant)s AND u.hash = ANY (%(hashes)s::bytea[])
