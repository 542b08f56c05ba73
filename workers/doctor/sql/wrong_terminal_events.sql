-- Of the newest jobs, and of those that ran last: over without exactly one event of that end, or live with one of its
-- own epoch. An earlier end, after which somebody retried the job, has a lower epoch. Index: primary keys, event_of_job.
-- A tenant that is being erased loses its rows table by table, which is no fault.
WITH looked AS MATERIALIZED (
  (SELECT id FROM job ORDER BY id DESC LIMIT %(limit)s)
  UNION
  (SELECT job_id FROM attempt ORDER BY id DESC LIMIT %(limit)s)
), known AS MATERIALIZED (
  SELECT one.*, live.job_id IS NOT NULL AS is_live, coalesce(live.epoch, one.epoch) AS current_epoch
  FROM looked
  CROSS JOIN LATERAL (
    SELECT id, tenant_id, final_state, end_event_id, epoch FROM job WHERE job.id = looked.id LIMIT 1
  ) AS one
  LEFT JOIN job_live AS live ON live.job_id = one.id
), judged AS (
  SELECT known.id,
         CASE WHEN known.final_state IS NOT NULL AND told.of_this_end = 0 THEN 'untold'
              WHEN known.final_state IS NOT NULL AND told.any_end > 1 THEN 'twice'
              WHEN known.final_state IS NULL AND known.is_live AND told.any_end > 0 THEN 'live' END AS fault
  FROM known
  CROSS JOIN LATERAL (
    SELECT count(*) AS any_end,
           count(*) FILTER (WHERE event.id = known.end_event_id AND event.type = 'job.' || known.final_state)
             AS of_this_end
    FROM event
    WHERE event.tenant_id = known.tenant_id AND event.job_id = known.id AND event.epoch = known.current_epoch
      AND event.type IN ('job.completed', 'job.discarded', 'job.cancelled')
  ) AS told
  WHERE NOT EXISTS (SELECT FROM tenant WHERE tenant.id = known.tenant_id AND tenant.status = 'erased')
)
SELECT fault, count(*)::integer AS count, (array_agg(id ORDER BY id))[1] AS example
FROM judged WHERE fault IS NOT NULL
GROUP BY fault ORDER BY fault
