-- Lanes that were held back, and need not be: their queue goes on, has a slot, or has a token. Counted, not believed.
-- Indexes: lane_blocked; job_slots for each lane of the queue. What is locked is looked at the next time.
WITH free AS MATERIALIZED (
  SELECT lane.id
  FROM lane JOIN queue ON queue.tenant_id = lane.tenant_id AND queue.name = lane.queue
  WHERE lane.blocked_by IS NOT NULL
    AND queue.paused_at IS NULL
    AND (lane.blocked_until IS NULL OR lane.blocked_until <= clock_timestamp() OR queue.rate IS NULL)
    AND (queue.concurrency IS NULL OR queue.concurrency > (
      SELECT count(*) FROM job_live JOIN lane AS of_queue ON of_queue.id = job_live.lane_id
      WHERE of_queue.tenant_id = lane.tenant_id AND of_queue.queue = lane.queue
        AND job_live.tenant_id = lane.tenant_id AND job_live.state IN ('dispatched', 'executing')))
  ORDER BY lane.id
  FOR NO KEY UPDATE OF lane SKIP LOCKED
)
UPDATE lane SET blocked_by = NULL, blocked_until = NULL, vtime = greatest(lane.vtime, share.lane_vtime)
FROM free, share
WHERE lane.id = free.id AND share.tenant_id = lane.tenant_id AND share.pool = lane.pool
RETURNING lane.id
