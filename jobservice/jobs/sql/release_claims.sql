-- end, start: the keys that these jobs hold are free, but for those whose period goes on or has yet to be looked at.
-- Index: the primary key. The jobs' live rows are locked already, so nobody else touches what they hold; locked in the
-- order of the hashes all the same. A statement of its own, because one that may wait for a lock joins no partitions.
WITH held AS MATERIALIZED (
  SELECT u.tenant_id, u.hash, u.expires_at
  FROM unique_claim u
  JOIN unnest(%(tenants)s::uuid[], %(hashes)s::bytea[], %(jobs)s::uuid[]) AS o (tenant_id, hash, job_id)
    USING (tenant_id, hash, job_id)
  WHERE u.held_while IS NOT NULL
  ORDER BY u.tenant_id, u.hash FOR UPDATE OF u
), kept AS (
  UPDATE unique_claim u SET held_while = NULL FROM held
  WHERE u.tenant_id = held.tenant_id AND u.hash = held.hash AND held.expires_at IS NOT NULL
)
DELETE FROM unique_claim u USING held
WHERE u.tenant_id = held.tenant_id AND u.hash = held.hash AND held.expires_at IS NULL
