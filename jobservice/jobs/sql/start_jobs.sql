-- start: a dispatched job of the named epoch begins to run under this worker's lease.
-- Index: job_live_pkey, job and blob by primary key. Rows are locked in id order, as every grouped write does.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, job_id, epoch)
), held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l JOIN ref USING (tenant_id, job_id, epoch)
  WHERE l.state = 'dispatched'
  ORDER BY l.job_id FOR UPDATE OF l
), started AS (
  UPDATE job_live l
  SET state = 'executing', attempt = l.attempt + 1, worker_id = %(worker)s, group_id = %(group)s,
      started_at = statement_timestamp(), first_started_at = coalesce(l.first_started_at, statement_timestamp()),
      lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
  FROM held WHERE l.job_id = held.job_id
  RETURNING l.*
)
SELECT s.tenant_id, s.job_id, s.epoch, s.attempt, s.crash_count, s.started_at, j.type, j.executor, j.handler, j.queue,
       j.priority, j.max_attempts, j.timeout_seconds, j.retry, j.tags, j.created_at, j.run_at, j.traceparent,
       j.payload_id, b.sealed AS sealed_payload
FROM started s
JOIN job j ON j.id = s.job_id AND j.tenant_id = s.tenant_id
JOIN blob b ON b.id = j.payload_id AND b.tenant_id = s.tenant_id
