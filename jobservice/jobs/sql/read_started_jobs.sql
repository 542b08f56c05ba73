-- What the jobs just started in this transaction are made of. Index: the primary keys.
-- LATERAL with a LIMIT, and no plain join: each row is one probe by its id, whatever the planner knows. Without statistics
-- (a new installation, a new partition) it joined all blobs and all jobs of the tenant: seconds for one job, then minutes.
SELECT l.tenant_id, l.job_id, l.epoch, l.attempt, l.crash_count, l.started_at, j.type, j.executor, j.handler, j.queue,
       j.priority, j.max_attempts, j.timeout_seconds, j.retry, j.tags, j.created_at, j.run_at, j.traceparent,
       j.payload_id, j.on_crash, j.unique_hash, j.unique_while, b.sealed AS sealed_payload
FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[]) AS started (tenant_id, job_id)
CROSS JOIN LATERAL (
  SELECT * FROM job_live WHERE job_id = started.job_id AND tenant_id = started.tenant_id LIMIT 1
) AS l
CROSS JOIN LATERAL (SELECT * FROM job WHERE id = l.job_id AND tenant_id = l.tenant_id LIMIT 1) AS j
CROSS JOIN LATERAL (SELECT sealed FROM blob WHERE id = j.payload_id AND tenant_id = l.tenant_id LIMIT 1) AS b
