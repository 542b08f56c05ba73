-- Of the newest events: ends of jobs with a callback, without exactly one delivery to it.
-- Index: event and job by their primary keys, delivery_of_job.
-- A tenant that is being erased loses its rows table by table, which is no fault.
SELECT told.id
FROM (
  SELECT id, tenant_id, job_id, type FROM event ORDER BY id DESC LIMIT %(limit)s
) AS told
CROSS JOIN LATERAL (SELECT callback_id FROM job WHERE job.id = told.job_id LIMIT 1) AS known
WHERE told.type IN ('job.completed', 'job.discarded', 'job.cancelled') AND known.callback_id IS NOT NULL
  AND (
    SELECT count(*) FROM delivery
    WHERE delivery.tenant_id = told.tenant_id AND delivery.job_id = told.job_id AND delivery.event_id = told.id
      AND delivery.callback_id = known.callback_id
  ) <> 1
  AND NOT EXISTS (SELECT FROM tenant WHERE tenant.id = told.tenant_id AND tenant.status = 'erased')
ORDER BY told.id
