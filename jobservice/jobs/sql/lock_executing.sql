-- record, the fence: which of these jobs still run under the epoch that produced the outcome. Locked in id order.
-- Index: job_live_pkey.
SELECT l.tenant_id, l.job_id, l.epoch, l.attempt, l.worker_id, l.group_id, l.started_at, l.cancel_requested, l.is_async,
       l.progress_percent, l.progress_id, l.log_id, clock_timestamp() AS now
FROM job_live l
JOIN unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, job_id, epoch)
  USING (tenant_id, job_id, epoch)
WHERE l.state = 'executing'
ORDER BY l.job_id FOR UPDATE OF l
