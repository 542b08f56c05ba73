-- Of the oldest live jobs: those that must hold a unique key and do not. And of the claims that a job holds: those whose
-- job is over or was started, past their period or without one. Index: primary keys; LIMIT 1 keeps each look at a job a
-- probe of its partition. One snapshot, so that a job that ends meanwhile is seen before or after.
-- A tenant that is being erased loses its rows table by table, which is no fault.
SELECT fault, count(*)::integer AS count, (array_agg(job_id ORDER BY job_id))[1] AS example
FROM (
  SELECT looked.job_id, looked.tenant_id, 'unheld' AS fault
  FROM (SELECT job_id, tenant_id FROM job_live ORDER BY job_id LIMIT %(limit)s) AS looked
  CROSS JOIN LATERAL (
    SELECT unique_hash FROM job
    WHERE job.id = looked.job_id AND job.tenant_id = looked.tenant_id AND job.unique_while = 'unfinished' LIMIT 1
  ) AS wanted
  WHERE NOT EXISTS (
    SELECT FROM unique_claim u
    WHERE u.tenant_id = looked.tenant_id AND u.hash = wanted.unique_hash AND u.job_id = looked.job_id
      AND u.held_while = 'unfinished')
  UNION ALL
  SELECT held.job_id, held.tenant_id, 'stuck'
  FROM (
    SELECT job_id, tenant_id, held_while, expires_at FROM unique_claim
    WHERE held_while IS NOT NULL ORDER BY tenant_id, hash LIMIT %(limit)s
  ) AS held
  WHERE coalesce(held.expires_at <= clock_timestamp(), true)
    AND NOT EXISTS (
      SELECT FROM job_live l
      WHERE l.job_id = held.job_id AND l.tenant_id = held.tenant_id
        AND NOT (held.held_while = 'waiting' AND l.state = 'executing'))
) AS judged
WHERE NOT EXISTS (SELECT FROM tenant WHERE tenant.id = judged.tenant_id AND tenant.status = 'erased')
GROUP BY fault ORDER BY fault
