-- A page of what happened to a job, in order: which rows, and no more of them than that. A job that is snoozed or retried
-- again and again has them by the hundred thousand. Attempts enter at their end: that is when their row is written, so no
-- earlier entry changes its number. From the one after `seen`; if that is null, the latest.
-- Indexes: attempt_of_job, event_of_job, delivery_attempt_of_job.
SELECT kind, id, seq
FROM (
  SELECT kind, id, row_number() OVER (ORDER BY at, id) AS seq, count(*) OVER () AS entries
  FROM (
    SELECT 'job' AS kind, %(job)s::uuid AS id, %(accepted_at)s::timestamptz AS at
    UNION ALL
    SELECT 'attempt', id, finished_at FROM attempt WHERE tenant_id = %(tenant)s AND job_id = %(job)s
    UNION ALL
    SELECT 'event', id, at FROM event WHERE tenant_id = %(tenant)s AND job_id = %(job)s
    UNION ALL
    SELECT 'delivery', id, at FROM delivery_attempt WHERE tenant_id = %(tenant)s AND job_id = %(job)s
  ) AS entry
) AS numbered
WHERE seq > coalesce(%(seen)s::bigint, entries - %(limit)s::bigint)
ORDER BY seq LIMIT %(limit)s
