-- hand over: this worker's runs whose endpoints will complete them later. The lease is what is left of the time that the
-- endpoint was told, or as long as it has prolonged it already (extend_lease.sql), which does not know when it was called: a
-- run may have waited for its turn. Rows are locked in id order, as every grouped write does.
-- Index: job_live_pkey.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[], %(seconds)s::float8[])
    AS r (tenant_id, job_id, epoch, seconds)
), held AS MATERIALIZED (
  SELECT l.job_id, ref.seconds FROM job_live l JOIN ref USING (tenant_id, job_id, epoch)
  WHERE l.state = 'executing' AND l.worker_id = %(worker)s
  ORDER BY l.job_id FOR UPDATE OF l
)
UPDATE job_live l
SET is_async = true,
    lease_until = greatest(CASE WHEN l.is_async THEN l.lease_until END,
                           clock_timestamp() + make_interval(secs => held.seconds))
FROM held WHERE l.job_id = held.job_id
RETURNING l.tenant_id, l.job_id, l.epoch, l.attempt, l.worker_id, l.started_at, l.cancel_requested, l.is_async,
          l.progress_percent, l.progress_id, l.log_id, clock_timestamp() AS now
