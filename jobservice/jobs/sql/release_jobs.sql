-- release: a started job that did not run goes back to its lane; its attempt is not counted, its epoch is spent.
WITH ref AS MATERIALIZED (
  SELECT * FROM unnest(%(tenants)s::uuid[], %(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (tenant_id, job_id, epoch)
), held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l JOIN ref USING (tenant_id, job_id, epoch)
  WHERE l.state = 'executing' AND l.worker_id = %(worker)s
  ORDER BY l.job_id FOR UPDATE OF l
)
UPDATE job_live l
SET state = 'available', epoch = l.epoch + 1, attempt = l.attempt - 1, lease_until = NULL, worker_id = NULL,
    group_id = NULL, available_at = clock_timestamp(),
    first_started_at = CASE WHEN l.attempt > 1 THEN l.first_started_at END, started_at = NULL
FROM held WHERE l.job_id = held.job_id
RETURNING l.job_id, l.lane_id
