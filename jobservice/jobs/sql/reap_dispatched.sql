-- A claim whose message was lost: available again, nothing counted. Index: job_held.
WITH dead AS MATERIALIZED (
  SELECT job_id FROM job_live
  WHERE state = 'dispatched' AND lease_until < clock_timestamp()
  ORDER BY job_id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE job_live l SET state = 'available', lease_until = NULL, dispatched_at = NULL, epoch = l.epoch + 1
FROM dead WHERE l.job_id = dead.job_id
RETURNING l.tenant_id, l.job_id, l.lane_id, l.concurrency_hash
