-- Of the newest jobs: those that are neither over nor live. Index: primary keys.
-- A tenant that is being erased loses its rows table by table, which is no fault.
SELECT 'lost' AS fault, count(*)::integer AS count, (array_agg(looked.id ORDER BY looked.id))[1] AS example
FROM (SELECT id, tenant_id, final_state FROM job ORDER BY id DESC LIMIT %(limit)s) AS looked
WHERE looked.final_state IS NULL AND NOT EXISTS (SELECT FROM job_live WHERE job_live.job_id = looked.id)
  AND NOT EXISTS (SELECT FROM tenant WHERE tenant.id = looked.tenant_id AND tenant.status = 'erased')
HAVING count(*) > 0
