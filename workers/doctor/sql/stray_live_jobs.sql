-- Of the oldest live rows: those of ended jobs, of no job, and of no lane. Index: primary keys; LIMIT 1 keeps each look
-- at the job a probe of its partition.
SELECT fault, count(*)::integer AS count, (array_agg(job_id ORDER BY job_id))[1] AS example
FROM (
  SELECT looked.job_id,
         CASE WHEN known.id IS NULL THEN 'unknown' WHEN known.final_state IS NOT NULL THEN 'over'
              WHEN NOT EXISTS (SELECT FROM lane WHERE lane.id = looked.lane_id AND lane.tenant_id = looked.tenant_id)
              THEN 'laneless' END AS fault
  FROM (SELECT job_id, tenant_id, lane_id FROM job_live ORDER BY job_id LIMIT %(limit)s) AS looked
  LEFT JOIN LATERAL (
    SELECT id, final_state FROM job WHERE job.id = looked.job_id AND job.tenant_id = looked.tenant_id LIMIT 1
  ) AS known ON true
) AS judged
WHERE fault IS NOT NULL
GROUP BY fault ORDER BY fault
