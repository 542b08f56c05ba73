-- Of the newest runs: claims recorded twice, and jobs that ran or crashed more often than they may.
-- Index: attempt, job and job_live by their primary keys.
WITH looked AS MATERIALIZED (
  SELECT job_id, epoch FROM attempt ORDER BY id DESC LIMIT %(limit)s
), counted AS MATERIALIZED (
  SELECT one.id, one.max_attempts, coalesce(live.attempt, one.attempt) AS attempt,
         coalesce(live.crash_count, one.crash_count) AS crash_count
  FROM (SELECT DISTINCT job_id FROM looked) AS ran
  CROSS JOIN LATERAL (
    SELECT id, max_attempts, attempt, crash_count FROM job WHERE job.id = ran.job_id LIMIT 1
  ) AS one
  LEFT JOIN job_live AS live ON live.job_id = one.id
), judged AS (
  SELECT DISTINCT job_id AS id, 'twice' AS fault FROM looked GROUP BY job_id, epoch HAVING count(*) > 1
  UNION ALL
  SELECT id, 'many' FROM counted WHERE attempt - crash_count > max_attempts
  UNION ALL
  SELECT id, 'crashes' FROM counted WHERE crash_count > %(crashes)s
)
SELECT fault, count(*)::integer AS count, (array_agg(id ORDER BY id))[1] AS example
FROM judged GROUP BY fault ORDER BY fault
