-- What the jobs just started in this transaction are made of. Index: the primary keys.
SELECT l.tenant_id, l.job_id, l.epoch, l.attempt, l.crash_count, l.started_at, j.type, j.executor, j.handler, j.queue,
       j.priority, j.max_attempts, j.timeout_seconds, j.retry, j.tags, j.created_at, j.run_at, j.traceparent,
       j.payload_id, b.sealed AS sealed_payload
FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[]) AS started (tenant_id, job_id)
JOIN job_live l USING (tenant_id, job_id)
JOIN job j ON j.id = l.job_id AND j.tenant_id = l.tenant_id
JOIN blob b ON b.id = j.payload_id AND b.tenant_id = l.tenant_id
