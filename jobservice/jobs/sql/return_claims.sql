-- dispatch, undone: a claim that reached no broker. Index: primary key.
WITH held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l
  JOIN unnest(%(jobs)s::uuid[], %(epochs)s::bigint[]) AS r (job_id, epoch) USING (job_id, epoch)
  WHERE l.state = 'dispatched'
  ORDER BY l.job_id FOR UPDATE OF l
)
UPDATE job_live l SET state = 'available', lease_until = NULL, dispatched_at = NULL, epoch = l.epoch + 1
FROM held WHERE l.job_id = held.job_id
RETURNING l.job_id, l.epoch, l.lane_id, l.concurrency_hash
