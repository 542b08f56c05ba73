-- heartbeat: prolong what this worker still runs. No index holds lease_until, so this is a heap-only update.
-- The lease of a run that its endpoint will complete is the endpoint's.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, job_id, epoch)
), held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l JOIN ref USING (tenant_id, job_id, epoch)
  WHERE l.state = 'executing' AND l.worker_id = %(worker)s
  ORDER BY l.job_id FOR UPDATE OF l
)
UPDATE job_live l
SET lease_until = CASE WHEN l.is_async THEN l.lease_until
                  ELSE clock_timestamp() + make_interval(secs => %(lease_seconds)s) END
FROM held WHERE l.job_id = held.job_id
RETURNING l.job_id, l.epoch, l.cancel_requested
