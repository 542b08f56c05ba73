-- record, the fence: which of these jobs still run under the epoch that produced the outcome. Locked in id order.
SELECT l.job_id, l.epoch
FROM job_live l
JOIN unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, job_id, epoch)
  USING (tenant_id, job_id, epoch)
WHERE l.state = 'executing'
ORDER BY l.job_id FOR UPDATE OF l
