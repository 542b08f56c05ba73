-- What a decision about runs under way needs, without anything sealed. Their live rows are locked already.
-- Index: the primary keys.
SELECT l.tenant_id, l.job_id, l.epoch, l.attempt, l.crash_count, l.started_at, l.worker_id, j.type, j.executor,
       j.handler, j.queue, j.priority, j.max_attempts, j.timeout_seconds, j.retry, j.tags, j.created_at, j.run_at,
       j.traceparent, j.payload_id, j.on_crash
FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[]) AS r (tenant_id, job_id)
JOIN job_live l USING (tenant_id, job_id)
JOIN job j ON j.id = l.job_id AND j.tenant_id = l.tenant_id
WHERE l.state = 'executing'
