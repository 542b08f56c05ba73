-- accept, retry: each key is taken that is free, or that may be taken from the job named in `from_jobs`. Those taken come
-- back: from whom, and whether that job still held the key or only its period went on. Indexes: the primary key; the
-- unique constraint of queue.
-- None is taken, and one row without a hash says so, while one of `in_queues` is not there: whoever makes a queue locks the
-- tenant's queues, which comes before any key.
-- Keys are locked in the order of their hashes, and those that stay with their holder not at all, so that neither two
-- groups of jobs nor an accept and the end of a holder wait for each other in a circle. A key that is being taken or
-- released at this moment is waited for. The clock is the database's, looked at under the lock.
WITH missing AS MATERIALIZED (
  SELECT FROM unnest(%(in_queues)s::text[]) AS wanted (name)
  WHERE NOT EXISTS (SELECT FROM queue WHERE queue.tenant_id = %(tenant)s AND queue.name = wanted.name)
), asked AS MATERIALIZED (
  SELECT * FROM unnest(%(hashes)s::bytea[], %(jobs)s::uuid[], %(kinds)s::text[], %(from_jobs)s::uuid[])
    AS a (hash, job_id, held_while, from_job)
  WHERE NOT EXISTS (SELECT FROM missing)
), known AS MATERIALIZED (
  SELECT u.hash, u.job_id AS from_job, u.held_while IS NOT NULL AS was_held,
         u.held_while IS NULL AND u.expires_at <= clock_timestamp() AS was_free
  FROM unique_claim u JOIN asked USING (hash)
  WHERE u.tenant_id = %(tenant)s
    AND (u.job_id = asked.from_job OR (u.held_while IS NULL AND u.expires_at <= clock_timestamp()))
  ORDER BY u.hash FOR UPDATE OF u
), renewed AS (
  UPDATE unique_claim u
  SET job_id = asked.job_id, held_while = asked.held_while,
      -- A job that takes its own key again keeps its period.
      expires_at = CASE WHEN u.job_id = asked.job_id THEN u.expires_at END
  FROM known JOIN asked USING (hash)
  WHERE u.tenant_id = %(tenant)s AND u.hash = known.hash
  RETURNING u.hash
), made AS (
  INSERT INTO unique_claim (tenant_id, hash, job_id, held_while)
  SELECT %(tenant)s, hash, job_id, held_while FROM asked
  WHERE NOT EXISTS (SELECT FROM known WHERE known.hash = asked.hash)
  ORDER BY hash
  ON CONFLICT (tenant_id, hash) DO NOTHING
  RETURNING hash
)
SELECT renewed.hash, known.from_job, known.was_held, known.was_free FROM renewed JOIN known USING (hash)
UNION ALL
SELECT hash, NULL, false, true FROM made
UNION ALL
SELECT NULL, NULL, false, false WHERE EXISTS (SELECT FROM missing)
