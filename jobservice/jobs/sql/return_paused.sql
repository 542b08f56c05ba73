-- Claims of a queue that is paused, or of a tenant that is suspended, and that nobody has started: available again, their
-- epoch spent. `queue` null: all queues of the tenant. Index: job_slots.
WITH held AS MATERIALIZED (
  SELECT l.job_id FROM job_live l
  JOIN lane ON lane.id = l.lane_id
  JOIN queue ON queue.tenant_id = lane.tenant_id AND queue.name = lane.queue
  JOIN tenant ON tenant.id = l.tenant_id
  WHERE l.tenant_id = %(tenant)s AND l.state = 'dispatched'
    AND (%(queue)s::text IS NULL OR lane.queue = %(queue)s)
    AND (queue.paused_at IS NOT NULL OR tenant.status <> 'active')
  ORDER BY l.job_id FOR UPDATE OF l
)
UPDATE job_live l SET state = 'available', lease_until = NULL, dispatched_at = NULL, epoch = l.epoch + 1
FROM held WHERE l.job_id = held.job_id
RETURNING l.job_id, l.epoch, l.lane_id, l.concurrency_hash
